/* Loads a SavedModel as TensorFlow Serving does and answers requests, without Python.
 *
 *   loader MODEL_DIR < requests
 *   loader --newest BASE_DIR COUNT     load the greatest version in BASE_DIR, COUNT times over
 *
 * A request is a line:
 *
 *   REPEATS FEED strings FILE... -> FETCH...
 *   REPEATS FEED floats FILE N H W C -> FETCH...
 *
 * FEED and FETCH are graph tensors such as serving_default_images:0. The first form feeds the
 * files' bytes, string [number of files]; the second raw float32. The answer is a line each:
 *
 *   ms T...                            how long each of REPEATS runs took
 *   tensor FETCH D0,D1,... V...        for every FETCH, of the last run
 *
 * or one line `error MESSAGE`; then an empty line.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

#define MAX_FILES 4096
#define MAX_FETCHES 8

static TF_Graph* graph;
static TF_Session* session;

static void die(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

/* Returns whether the model could be loaded. */
static int load(const char* folder, TF_Status* status) {
  static const char* const tags[] = {"serve"};
  TF_SessionOptions* options = TF_NewSessionOptions();
  graph = TF_NewGraph();
  session = TF_LoadSessionFromSavedModel(options, NULL, folder, tags, 1, graph, NULL, status);
  TF_DeleteSessionOptions(options);
  return TF_GetCode(status) == TF_OK;
}

static void unload(TF_Status* status) {
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteGraph(graph);
}

static TF_Output endpoint(char* name) {
  TF_Output output = {NULL, 0};
  char* colon = strrchr(name, ':');
  if (colon == NULL) die(name, "not a tensor name");
  *colon = 0;
  output.oper = TF_GraphOperationByName(graph, name);
  output.index = atoi(colon + 1);
  if (output.oper == NULL) die(name, "not in the graph");
  *colon = ':';
  return output;
}

static char* read_file(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) die(path, "cannot be opened");
  fseek(file, 0, SEEK_END);
  *size = ftell(file);
  rewind(file);
  char* bytes = malloc(*size + 1);
  if (fread(bytes, 1, *size, file) != *size) die(path, "cannot be read");
  fclose(file);
  return bytes;
}

static TF_Tensor* strings(char** paths, int count) {
  const int64_t shape[] = {count};
  TF_Tensor* tensor = TF_AllocateTensor(TF_STRING, shape, 1, count * sizeof(TF_TString));
  TF_TString* values = TF_TensorData(tensor);
  for (int i = 0; i < count; ++i) {
    size_t size;
    char* bytes = read_file(paths[i], &size);
    TF_StringInit(&values[i]);
    TF_StringCopy(&values[i], bytes, size);
    free(bytes);
  }
  return tensor;
}

static TF_Tensor* floats(char** words) {
  size_t size, expected = sizeof(float);
  int64_t shape[4];
  for (int i = 0; i < 4; ++i) expected *= shape[i] = atoll(words[1 + i]);
  char* bytes = read_file(words[0], &size);
  if (size != expected) die(words[0], "not of this shape");
  TF_Tensor* tensor = TF_AllocateTensor(TF_FLOAT, shape, 4, size);
  memcpy(TF_TensorData(tensor), bytes, size);
  free(bytes);
  return tensor;
}

static void print(const char* name, TF_Tensor* tensor) {
  const float* values = TF_TensorData(tensor);
  if (TF_TensorType(tensor) != TF_FLOAT) die(name, "not float32");
  printf("tensor %s ", name);
  for (int i = 0; i < TF_NumDims(tensor); ++i)
    printf(i ? ",%lld" : "%lld", (long long)TF_Dim(tensor, i));
  for (int64_t i = 0; i < TF_TensorElementCount(tensor); ++i) printf(" %.9g", values[i]);
  printf("\n");
}

static void print_error(TF_Status* status) {
  printf("error ");
  for (const char* c = TF_Message(status); *c; ++c) putchar(*c == '\n' ? ' ' : *c);
  printf("\n");
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void answer(char* line, TF_Status* status) {
  char *words[MAX_FILES], *names[MAX_FETCHES];
  int count = 0, fetches = 0, after_arrow = 0;
  for (char* word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
    if (strcmp(word, "->") == 0)
      after_arrow = 1;
    else if (after_arrow && fetches < MAX_FETCHES)
      names[fetches++] = word;
    else if (count < MAX_FILES)
      words[count++] = word;
  }
  if (count < 3 || fetches == 0) die("request", "not understood");
  TF_Output feed = endpoint(words[1]), outputs[MAX_FETCHES];
  for (int i = 0; i < fetches; ++i) outputs[i] = endpoint(names[i]);
  const int of_strings = strcmp(words[2], "strings") == 0;
  TF_Tensor* input = of_strings ? strings(words + 3, count - 3) : floats(words + 3);
  TF_Tensor* results[MAX_FETCHES] = {NULL};
  const int repeats = atoi(words[0]);
  double* times = malloc(repeats * sizeof(double));
  for (int r = 0; r < repeats; ++r) {
    for (int i = 0; i < fetches; ++i)
      if (results[i]) TF_DeleteTensor(results[i]);
    memset(results, 0, sizeof(results));
    const double begin = now_ms();
    TF_SessionRun(session, NULL, &feed, &input, 1, outputs, results, fetches, NULL, 0, NULL,
                  status);
    times[r] = now_ms() - begin;
    if (TF_GetCode(status) != TF_OK) break;
  }
  if (TF_GetCode(status) != TF_OK) {
    print_error(status);
  } else {
    printf("ms");
    for (int r = 0; r < repeats; ++r) printf(" %.3f", times[r]);
    printf("\n");
    for (int i = 0; i < fetches; ++i) {
      print(names[i], results[i]);
      TF_DeleteTensor(results[i]);
    }
  }
  printf("\n");
  fflush(stdout);
  free(times);
  TF_DeleteTensor(input);
}

static long newest(const char* base) {
  long found = -1;
  DIR* folder = opendir(base);
  if (folder == NULL) die(base, "cannot be opened");
  for (struct dirent* entry; (entry = readdir(folder));) {
    char* end;
    const long version = strtol(entry->d_name, &end, 10);
    if (*end == 0 && end != entry->d_name && version > found) found = version;
  }
  closedir(folder);
  return found;
}

int main(int argc, char** argv) {
  TF_Status* status = TF_NewStatus();
  if (argc == 4 && strcmp(argv[1], "--newest") == 0) {
    for (int i = 0; i < atoi(argv[3]); ++i) {
      char path[4096];
      const long version = newest(argv[2]);
      snprintf(path, sizeof(path), "%s/%ld", argv[2], version);
      if (!load(path, status)) die(path, TF_Message(status));
      printf("%ld\n", version);
      fflush(stdout);
      unload(status);
    }
    return 0;
  }
  if (argc != 2) die("usage", "loader MODEL_DIR | loader --newest BASE_DIR COUNT");
  if (!load(argv[1], status)) die(argv[1], TF_Message(status));
  char* line = NULL;
  size_t capacity = 0;
  while (getline(&line, &capacity, stdin) > 0) answer(line, status);
  free(line);
  unload(status);
  TF_DeleteStatus(status);
  return 0;
}
