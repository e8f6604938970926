"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (kind, name, text) => {
    const made = document.createElement(kind);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const shown = (value) => Number(value.toPrecision(4)).toLocaleString("en-US", { maximumFractionDigits: 6 });

  // Charts: a line and the values at the step that is nearest to the pointer.
  for (const svg of document.querySelectorAll("svg[data-chart]")) {
    const chart = data.charts[svg.dataset.chart];
    const box = svg.parentElement, cursor = svg.querySelector(".cursor"), width = svg.viewBox.baseVal.width;
    const tip = box.appendChild(element("div", "value"));
    const places = [];  // every x of the chart once, and where it lies
    for (const line of chart.lines) line.x.forEach((x, i) => places.push([line.at[i], x]));
    places.sort((a, b) => a[0] - b[0]);
    const stops = places.filter((place, i) => !i || place[1] !== places[i - 1][1]);
    let now = -1;
    tip.hidden = true;
    const show = (stop) => {
      now = Math.min(Math.max(stop, 0), stops.length - 1);
      const [at, x] = stops[now];
      const lines = [`${chart.x_name} ${x.toLocaleString("en-US")}`];
      for (const line of chart.lines) {
        const i = line.x.indexOf(x);
        const name = chart.lines.length > 1 ? `${line.name} ` : "";
        if (i >= 0) lines.push(`${name}${shown(line.y[i] * chart.factor)}${chart.factor === 100 ? "%" : ""}`);
      }
      tip.textContent = lines.join("\n");
      tip.hidden = false;
      cursor.setAttribute("transform", `translate(${at} 0)`);
      cursor.style.visibility = "visible";
      const left = svg.offsetLeft || 0, scale = svg.clientWidth / width;
      const beside = at * scale + 10 + tip.offsetWidth > svg.clientWidth ? at * scale - 10 - tip.offsetWidth : at * scale + 10;
      tip.style.left = `${Math.max(0, left + beside)}px`;
      tip.style.top = `${box.querySelector("figcaption").offsetHeight + 8}px`;
    };
    const hide = () => { tip.hidden = true; cursor.style.visibility = "hidden"; now = -1; };
    const follow = (event) => {
      const area = svg.getBoundingClientRect(), at = (event.clientX - area.left) * width / area.width;
      let best = 0;
      stops.forEach((stop, i) => { if (Math.abs(stop[0] - at) < Math.abs(stops[best][0] - at)) best = i; });
      show(best);
    };
    svg.addEventListener("pointermove", follow);
    svg.addEventListener("pointerdown", follow);
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move) return;
      event.preventDefault();
      show(now < 0 ? (move > 0 ? 0 : stops.length - 1) : now + move);
    });
  }

  // The map.
  const map = data.map, canvas = document.getElementById("points");
  if (!map || !canvas) return;
  const pen = canvas.getContext("2d"), picked = document.getElementById("picked");
  const only = document.getElementById("wrong"), buttons = [...document.querySelectorAll(".classes button")];
  const count = map.x.length, extent = 1000, margin = 14;
  const radius = count > 2500 ? 2.3 : count > 700 ? 3 : 4;
  const hidden = new Set();
  const view = { zoom: 1, x: extent / 2, y: extent / 2 };
  let colors = [], ink = "", paper = "", side = 1, chosen = -1, lit = -1;

  const isWrong = (i) => map.vote[i] >= 0 && map.vote[i] !== map.label[i];
  const isShown = (i) => !hidden.has(map.label[i]) && !(only && only.checked && !isWrong(i));
  const onScreen = (i) => {
    const scale = (side - 2 * margin) / extent * view.zoom;
    return [side / 2 + (map.x[i] - view.x) * scale, side / 2 + (map.y[i] - view.y) * scale];
  };
  const shapes = [
    (p, x, y, r) => p.arc(x, y, r, 0, 7),
    (p, x, y, r) => p.rect(x - .9 * r, y - .9 * r, 1.8 * r, 1.8 * r),
    (p, x, y, r) => { p.moveTo(x, y - 1.25 * r); p.lineTo(x + 1.15 * r, y + .85 * r); p.lineTo(x - 1.15 * r, y + .85 * r); p.closePath(); },
    (p, x, y, r) => { p.moveTo(x, y - 1.3 * r); p.lineTo(x + 1.3 * r, y); p.lineTo(x, y + 1.3 * r); p.lineTo(x - 1.3 * r, y); p.closePath(); },
  ];
  // Nine colors and four shapes: thirty-six classes that differ also to who sees no colors.
  const mark = (p, kind, x, y, r) => {
    p.beginPath();
    shapes[Math.max(kind, 0) % 4](p, x, y, r);
    p.fillStyle = colors[Math.max(kind, 0) % 9];
    p.fill();
  };

  const draw = () => {
    const dots = window.devicePixelRatio || 1;
    side = canvas.clientWidth;
    canvas.width = canvas.height = Math.round(side * dots);
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.clearRect(0, 0, side, side);
    const size = radius * Math.min(2, Math.sqrt(view.zoom)) * (side < 450 ? .85 : 1);
    for (let i = 0; i < count; i++) {
      if (!isShown(i)) continue;
      pen.globalAlpha = lit >= 0 && map.label[i] !== lit ? .12 : .85;
      mark(pen, map.label[i], ...onScreen(i), size);
    }
    pen.globalAlpha = 1;
    if (chosen < 0 || !isShown(chosen)) return;
    const [x, y] = onScreen(chosen);
    pen.strokeStyle = ink;
    for (const other of map.near[chosen] || []) {
      pen.beginPath(); pen.moveTo(x, y); pen.lineTo(...onScreen(other)); pen.lineWidth = .8; pen.stroke();
    }
    pen.beginPath(); pen.arc(x, y, size + 4, 0, 7); pen.lineWidth = 2; pen.stroke();
    mark(pen, map.label[chosen], x, y, size + 1);
  };

  const said = (kind) => kind >= 0 ? map.classes[kind] : "no label";
  const tile = (i, text) => {
    const made = element("span", "tile s-map"), sheet = map.sheet;
    const part = (place, all) => all > 1 ? `${100 * place / (all - 1)}%` : "0%";
    made.style.backgroundPosition = `${part(i % sheet.across, sheet.across)} ${part(Math.floor(i / sheet.across), sheet.down)}`;
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", text);
    made.title = text;
    return made;
  };
  const pick = (i) => {
    chosen = i;
    const text = element("div", "text");
    if (map.classes.length) {
      text.append(element("p", "label", `label: ${said(map.label[i])}`));
      if (map.vote[i] >= 0) text.append(element("p", isWrong(i) ? "wrong" : "", `${isWrong(i) ? "✗ " : ""}neighbors vote: ${said(map.vote[i])}`));
    }
    text.append(element("p", "name", map.names[i]));
    const others = element("div", "others"), near = element("div", "near");
    others.append(element("p", "", "nearest by features:"), near);
    for (const other of map.near[i] || []) near.append(tile(other, map.classes.length ? `${said(map.label[other])}, ${map.names[other]}` : map.names[other]));
    picked.replaceChildren(tile(i, map.names[i]), text, others);
    draw();
  };
  const nearest = (event, reach) => {
    const area = canvas.getBoundingClientRect(), x = event.clientX - area.left, y = event.clientY - area.top;
    let best = -1, least = reach * reach;
    for (let i = 0; i < count; i++) {
      if (!isShown(i)) continue;
      const [a, b] = onScreen(i), far = (a - x) ** 2 + (b - y) ** 2;
      if (far < least) { least = far; best = i; }
    }
    return best;
  };
  const tryPick = (event) => {
    const i = nearest(event, event.pointerType === "mouse" ? 16 : 32);
    if (i >= 0 && i !== chosen) pick(i);
  };
  const zoom = (times) => {
    view.zoom = Math.min(16, Math.max(1, view.zoom * times));
    if (times > 1 && chosen >= 0 && isShown(chosen)) { view.x = map.x[chosen]; view.y = map.y[chosen]; }
    if (view.zoom === 1) view.x = view.y = extent / 2;
    canvas.classList.toggle("zoomed", view.zoom > 1);
    draw();
  };

  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, y: event.clientY, moved: false };
    if (view.zoom > 1) canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return tryPick(event);
    const dx = event.clientX - from.x, dy = event.clientY - from.y;
    if (view.zoom === 1 || (!from.moved && Math.hypot(dx, dy) < 5)) return;
    const scale = (side - 2 * margin) / extent * view.zoom;
    view.x -= dx / scale; view.y -= dy / scale;
    from = { x: event.clientX, y: event.clientY, moved: true };
    draw();
  });
  canvas.addEventListener("pointerup", (event) => { if (from && !from.moved) tryPick(event); from = null; });
  canvas.addEventListener("pointercancel", () => { from = null; });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "+") return zoom(1.6);
    if (event.key === "-") return zoom(1 / 1.6);
    if (!way) return;
    event.preventDefault();
    let best = -1, least = Infinity;
    for (let i = 0; i < count; i++) {
      if (i === chosen || !isShown(i)) continue;
      if (chosen < 0) { best = i; break; }
      const dx = map.x[i] - map.x[chosen], dy = map.y[i] - map.y[chosen];
      const along = dx * way[0] + dy * way[1], across = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
      if (along > 0 && along + 2 * across < least) { least = along + 2 * across; best = i; }
    }
    if (best >= 0) pick(best);
  });
  document.querySelectorAll(".zoom button").forEach((button) => button.addEventListener("click", () => zoom(Number(button.value))));
  buttons.forEach((button) => {
    const kind = Number(button.value);
    button.addEventListener("click", () => {
      const on = hidden.delete(kind);
      if (!on) hidden.add(kind);
      button.setAttribute("aria-pressed", String(on));
      draw();
    });
    button.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") { lit = kind; draw(); } });
    button.addEventListener("pointerleave", () => { lit = -1; draw(); });
  });
  document.querySelectorAll("button.all").forEach((button) => button.addEventListener("click", () => {
    const on = button.value === "1";
    hidden.clear();
    buttons.forEach((other) => { other.setAttribute("aria-pressed", String(on)); if (!on) hidden.add(Number(other.value)); });
    draw();
  }));
  if (only) only.addEventListener("change", draw);

  const paint = () => {
    const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(name).trim();
    colors = Array.from({ length: 9 }, (_, i) => of(`--c${i}`));
    ink = of("--ink"); paper = of("--card");
    for (const button of buttons) {
      const key = button.querySelector("canvas"), small = key.getContext("2d");
      key.width = key.height = 28;
      small.clearRect(0, 0, 28, 28);
      mark(small, Number(button.value), 14, 14, 9);
    }
    draw();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  new ResizeObserver(draw).observe(canvas);
  paint();
})();
