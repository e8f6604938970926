"""One HTML page of what is known of a run: charts, a map, pictures, without any network."""
