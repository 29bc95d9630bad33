"use strict";
(() => {
  // Names come from archives and are hostile: they reach the page as text nodes and attributes only.
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const HUES = [255, 150, 75, 310, 25, 200, 115, 345, 180, 50, 280];
  const MAX_TILES = 4000, MIN_AREA = 14, ROWS = 500;
  const ORIGIN_GROUPS = { distribution: "distributions", deb: "Debian packages", app: "app", interpreter: "interpreter", generated: "made by unheck" };
  const state = { platform: 0, group: "origin", colour: "kind", measure: "bytes", view: "map", rows: "children", query: "", sort: "size", down: true, shown: ROWS, node: null };
  let part, trees, ranks, hits, tiles;

  const make = (tag, attributes, ...inner) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "class") element.className = value;
      else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...inner.filter((one) => one != null));
    return element;
  };
  const size = (bytes) => {
    if (bytes < 1000) return `${bytes} B`;
    let value = bytes / 1000, unit = 0;
    while (value >= 999.95 && unit < 3) { value /= 1000; unit += 1; }
    return `${value.toFixed(1)} ${["kB", "MB", "GB", "TB"][unit]}`;
  };
  const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;
  const share = (one, all) => (all ? `${((one / all) * 100).toFixed(one / all < 0.0995 ? 1 : 0)} %` : "0 %");

  // ---- data: part.files is [path, layer, origin, kind, bytes, packed, reason, change]
  const fileName = (file) => file[0];
  const layerOf = (file) => part.layers[file[1]].name;
  const originOf = (file) => part.origins[file[2]].name;
  const kindOf = (file) => part.kinds[file[3]];
  const value = (node) => (state.measure === "bytes" ? node.bytes : node.packed);
  const COLOURS = { kind: [3, (i) => part.kinds[i]], origin: [2, (i) => part.origins[i].name], layer: [1, (i) => part.layers[i].name], change: [7, (i) => data.changes[i]] };

  const heads = (file, group) => {
    if (group === "folder") return [];
    const origin = part.origins[file[2]];
    if (group === "layer") return [layerOf(file), origin.name];
    if (group === "kind") return [kindOf(file), origin.name];
    const top = ORIGIN_GROUPS[origin.group];
    return origin.name === origin.group ? [top] : [top, origin.name.slice(origin.group.length + 1)];
  };
  const child = (parent, name) => {
    let node = parent.map.get(name);
    if (!node) {
      node = { name, parent, map: new Map(), kids: [], bytes: 0, packed: 0, files: 0, file: null };
      parent.map.set(name, node);
      parent.kids.push(node);
    }
    return node;
  };
  const grow = (group) => {
    const root = { name: "everything", parent: null, map: new Map(), kids: [], bytes: 0, packed: 0, files: 0, file: null };
    part.files.forEach((file, number) => {
      let node = root;
      for (const name of heads(file, group)) node = child(node, name);
      const parts = fileName(file).split("/");
      for (const name of parts.slice(0, -1)) node = child(node, `${name}/`);
      // A file beside a directory of the same name cannot be; a file and a head can.
      const leaf = { name: parts[parts.length - 1], parent: node, map: null, kids: [], bytes: file[4], packed: file[5], files: 1, file: number };
      node.kids.push(leaf);
      for (let up = node; up; up = up.parent) { up.bytes += leaf.bytes; up.packed += leaf.packed; up.files += 1; }
    });
    const fold = (node) => {
      node.map = null;
      for (let at = 0; at < node.kids.length; at += 1) {
        let kid = node.kids[at];
        // A folder that holds one folder only: both in one tile, `usr/lib/`.
        while (kid.name.endsWith("/") && kid.kids.length === 1 && kid.kids[0].file === null) {
          kid.kids[0].name = kid.name + kid.kids[0].name;
          kid = kid.kids[0];
        }
        kid.parent = node;
        node.kids[at] = kid;
        if (kid.file === null) fold(kid);
      }
    };
    fold(root);
    return root;
  };
  const tree = () => trees[state.group] || (trees[state.group] = grow(state.group));
  const trail = (node) => { const list = []; for (let at = node; at; at = at.parent) list.unshift(at); return list; };
  const leaves = (node, visit) => { if (node.file !== null) visit(node); else for (const kid of node.kids) leaves(kid, visit); };
  const biggest = (node) => {
    while (node.file === null && node.kids.length) node = node.kids.reduce((one, other) => (value(other) > value(one) ? other : one));
    return node;
  };

  // ---- colours: the biggest groups have one each, the others share gray
  const rank = () => {
    const [field] = COLOURS[state.colour];
    const sums = new Map();
    for (const file of part.files) sums.set(file[field], (sums.get(file[field]) || 0) + file[state.measure === "bytes" ? 4 : 5]);
    const order = [...sums].sort((one, other) => other[1] - one[1] || one[0] - other[0]);
    ranks = new Map(order.map(([key], at) => [key, at]));
    return order;
  };
  const paint = (element, key) => {
    const at = ranks.get(key);
    if (at === undefined || at >= HUES.length) element.classList.add("gray");
    else element.style.setProperty("--hue", HUES[at]);
    return element;
  };
  const keyOf = (node) => {
    const leaf = biggest(node);
    return leaf.file === null ? undefined : part.files[leaf.file][COLOURS[state.colour][0]];
  };
  const legend = (order) => {
    const name = COLOURS[state.colour][1];
    const rows = order.slice(0, HUES.length).map(([key, sum]) => make("li", {}, paint(make("span", { class: "chip" }), key), `${name(key)} `, make("span", { class: "soft" }, size(sum))));
    const rest = order.slice(HUES.length);
    if (rest.length) rows.push(make("li", {}, make("span", { class: "chip gray" }), `${count(rest.length, "other")} `, make("span", { class: "soft" }, size(rest.reduce((sum, one) => sum + one[1], 0)))));
    $("legend").replaceChildren(...rows);
  };

  // ---- squarified treemap (Bruls, Huizing, van Wijk 2000): rows along the shorter side
  const squarify = (items, box) => {
    let { x, y, w, h } = box;
    const total = items.reduce((sum, one) => sum + one.v, 0);
    const scale = (w * h) / total;
    const placed = [];
    const worst = (sum, low, high, side) => Math.max((side * side * high) / (sum * sum), (sum * sum) / (side * side * low));
    for (let at = 0; at < items.length;) {
      const side = Math.min(w, h);
      let end = at, sum = 0, ratio = Infinity;
      const high = items[at].v * scale;
      while (end < items.length) {
        const area = items[end].v * scale, next = worst(sum + area, area, high, side);
        if (end > at && next > ratio) break;
        ratio = next; sum += area; end += 1;
      }
      const thick = side > 0 ? sum / side : 0;
      let along = 0;
      for (; at < end; at += 1) {
        const long = thick > 0 ? (items[at].v * scale) / thick : 0;
        placed.push(w >= h ? { ...items[at], x, y: y + along, w: thick, h: long } : { ...items[at], x: x + along, y, w: long, h: thick });
        along += long;
      }
      if (w >= h) { x += thick; w -= thick; } else { y += thick; h -= thick; }
    }
    return placed;
  };
  const spread = (node, box) => {
    const kids = node.kids.filter((kid) => value(kid) > 0).sort((one, other) => value(other) - value(one) || (one.name < other.name ? -1 : 1));
    const total = kids.reduce((sum, kid) => sum + value(kid), 0);
    const least = (MIN_AREA * total) / Math.max(1, box.w * box.h);
    let end = kids.length;
    while (end > 1 && value(kids[end - 1]) < least) end -= 1;
    const items = kids.slice(0, end).map((kid) => ({ node: kid, v: value(kid) }));
    const small = kids.slice(end);
    if (small.length) items.push({ node: null, small, v: small.reduce((sum, kid) => sum + value(kid), 0), parent: node });
    items.sort((one, other) => other.v - one.v);
    return squarify(items, box);
  };

  const sentence = (node, within) => {
    const sum = `${size(node.bytes)} unpacked, about ${size(node.packed)} compressed, ${share(value(node), value(within))}`;
    if (node.file === null) return `${node.name}, ${count(node.files, "file")}, ${sum}`;
    const file = part.files[node.file];
    return `${node.name}, ${kindOf(file)} of ${originOf(file)}, ${sum}`;
  };
  const tile = (place, level, box) => {
    const { node } = place;
    const gap = level === 1 ? 1.5 : 1;
    const w = Math.max(1, place.w - gap), h = Math.max(1, place.h - gap);
    const group = node && node.file === null && node.kids.length;
    const open = group && w > 26 && h > 26 && place.w * place.h > 900;
    const element = make("div", { class: open ? "t g" : "t" });
    element.style.cssText = `left:${(box.x + place.x).toFixed(1)}px;top:${(box.y + place.y).toFixed(1)}px;width:${w.toFixed(1)}px;height:${h.toFixed(1)}px`;
    if (node) paint(element, keyOf(node)); else element.classList.add("gray");
    // A group that holds one group only: both under one heading.
    let inner = node, name = node ? node.name : `… ${place.small.length} smaller`;
    while (open && inner.kids.length === 1 && inner.kids[0].file === null) { inner = inner.kids[0]; name += ` › ${inner.name}`; }
    const text = w > 34 && h > 15;
    const head = innerWidth >= 2200 ? 23 : 18;
    if (text) element.append(make("b", {}, name, open && w > 120 ? make("small", {}, size(value(node))) : null));
    if (text && !open && h > 34) element.append(make("i", {}, size(place.v)));
    if (level === 1) {
      const label = node ? sentence(node, state.node) : `${count(place.small.length, "smaller entry").replace("entrys", "entries")}, ${size(place.v)}, in the table`;
      for (const [key, one] of [["role", "treeitem"], ["tabindex", "-1"], ["aria-level", "1"], ["aria-label", label]]) element.setAttribute(key, one);
      if (group) element.setAttribute("aria-expanded", "false");
    } else element.setAttribute("aria-hidden", "true");
    if (hits) {
      const found = node ? hits.get(node) || 0 : place.small.reduce((sum, kid) => sum + (hits.get(kid) || 0), 0);
      if (!found) element.classList.add("dim");
      else if (!open) element.classList.add("hit");
    }
    element.place = place;
    place.element = element;
    place.level = level;
    return open ? { element, node: inner, inner: { x: 3, y: text ? head : 3, w: w - 7, h: h - (text ? head : 3) - 4 } } : { element };
  };
  const draw = () => {
    const map = $("map");
    const width = map.clientWidth, height = map.clientHeight;
    const fragment = document.createDocumentFragment();
    const queue = [{ node: state.node, box: { x: 0, y: 0, w: width, h: height }, level: 1 }];
    tiles = [];
    let drawn = 0;
    // Breadth first, so that a limit cuts off the deepest.
    for (let at = 0; at < queue.length && drawn < MAX_TILES; at += 1) {
      const { node, box, level } = queue[at];
      for (const place of spread(node, { x: 0, y: 0, w: box.w, h: box.h })) {
        const { element, node: below, inner } = tile(place, level, box);
        drawn += 1;
        if (level === 1) { place.box = { x: place.x, y: place.y, w: place.w, h: place.h }; tiles.push(place); }
        fragment.append(element);
        if (inner && inner.w > 8 && inner.h > 8) {
          queue.push({ node: below, box: { x: box.x + place.x + inner.x, y: box.y + place.y + inner.y, w: inner.w, h: inner.h }, level: level + 1 });
        }
      }
    }
    if (!tiles.length) fragment.append(make("p", { id: "empty" }, state.node.files ? "Everything here is empty or a link: see the table." : "There is nothing here."));
    map.replaceChildren(fragment);
    if (tiles.length) tiles[0].element.tabIndex = 0;
  };

  // ---- what is under the pointer or the focus
  const explain = (place) => {
    const { node } = place;
    if (!node) {
      return [make("b", {}, `${place.small.length} smaller`), make("p", { class: "soft" }, `${size(place.v)} together; the table has each of them.`)];
    }
    const rows = [];
    const row = (name, text) => rows.push(make("dt", {}, name), make("dd", {}, text));
    row("unpacked", `${size(node.bytes)} (${share(node.bytes, tree().bytes)} of all)`);
    row("compressed", `about ${size(node.packed)}`);
    if (node.file === null) {
      row("files", String(node.files));
      const origins = new Set();
      leaves(node, (leaf) => { if (origins.size < 2) origins.add(part.files[leaf.file][2]); });
      if (origins.size !== 1) return [make("b", {}, node.name), make("dl", {}, ...rows)];
      row("origin", part.origins[[...origins][0]].text);
      return [make("b", {}, node.name), make("dl", {}, ...rows), chain(part.origins[[...origins][0]].reason)];
    }
    const file = part.files[node.file];
    row("kind", kindOf(file));
    row("origin", part.origins[file[2]].text);
    row("layer", layerOf(file));
    if (data.changes && file[7]) row("update", data.changes[file[7]]);
    return [make("b", {}, fileName(file)), make("dl", {}, ...rows), chain(file[6])];
  };
  const chain = (number) => {
    const links = part.reasons[number];
    return links && links.length ? make("ol", {}, ...links.map((link) => make("li", {}, link))) : null;
  };
  const tip = (place, x, y) => {
    const box = $("tip");
    if (!place) { box.hidden = true; return; }
    box.replaceChildren(...explain(place).filter(Boolean));
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const left = Math.max(8, Math.min(x + 14, innerWidth - width - 8));
    const below = y + 18;
    box.style.left = `${left}px`;
    box.style.top = `${Math.max(8, below + height + 8 > innerHeight ? y - height - 12 : below)}px`;
  };

  // ---- the same as a table
  const COLUMNS = [["name", "Name"], ["kind", "Kind"], ["origin", "Origin"], ["layer", "Layer"], ["files", "Files"], ["size", "Unpacked"], ["packed", "Compressed ≈"], ["share", "Share"]];
  const summary = (node, name) => {
    const sets = [new Set(), new Set(), new Set()];
    leaves(node, (leaf) => { const file = part.files[leaf.file]; sets[0].add(file[3]); sets[1].add(file[2]); sets[2].add(file[1]); });
    const one = (set, text, what) => (set.size === 1 ? text([...set][0]) : count(set.size, what));
    return { node, name, kind: one(sets[0], (i) => part.kinds[i], "kind"), origin: one(sets[1], (i) => part.origins[i].name, "origin"), layer: one(sets[2], (i) => part.layers[i].name, "layer"), files: node.files, size: node.bytes, packed: node.packed, share: value(node) };
  };
  const tableRows = () => {
    const rows = [];
    if (state.rows === "files") leaves(state.node, (leaf) => { if (!hits || hits.has(leaf)) rows.push(summary(leaf, fileName(part.files[leaf.file]))); });
    else for (const kid of state.node.kids) if (!hits || hits.has(kid)) rows.push(summary(kid, kid.name));
    const key = state.sort, sign = state.down ? -1 : 1;
    const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);
    return rows.sort((one, other) => sign * compare(one[key], other[key]) || compare(one.name, other.name));
  };
  const table = () => {
    const rows = tableRows();
    const sorted = (key) => { if (state.sort === key) state.down = !state.down; else { state.sort = key; state.down = !["name", "kind", "origin", "layer"].includes(key); } table(); $("table").querySelector(`[data-key="${key}"]`).focus(); };
    const head = COLUMNS.map(([key, name]) => make("th", { scope: "col", class: ["files", "size", "packed", "share"].includes(key) ? "n" : key, "aria-sort": state.sort === key ? (state.down ? "descending" : "ascending") : "none" }, make("button", { type: "button", "data-key": key, onclick: () => sorted(key) }, name)));
    const cell = (row) => (row.node.file === null ? make("button", { type: "button", onclick: () => go(row.node, "table") }, row.name) : row.name);
    const body = rows.slice(0, state.shown).map((row) => make("tr", {}, make("td", { class: "name" }, cell(row)), make("td", {}, row.kind), make("td", {}, row.origin), make("td", {}, row.layer), make("td", { class: "n" }, String(row.files)), make("td", { class: "n" }, size(row.size)), make("td", { class: "n" }, size(row.packed)), make("td", { class: "n" }, share(row.share, value(state.node)))));
    const caption = `${count(rows.length, "row")} in ${state.node.name}${hits ? ", of what matches the search" : ""}`;
    const parts = [make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body))];
    if (rows.length > state.shown) parts.push(make("button", { type: "button", class: "more", onclick: () => { state.shown += ROWS; table(); } }, `Show ${Math.min(ROWS, rows.length - state.shown)} more`));
    $("table").replaceChildren(...parts);
  };

  // ---- search
  let haystacks;
  const search = () => {
    const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
    hits = null;
    const said = $("found");
    if (!words.length) { said.textContent = ""; return; }
    haystacks = haystacks || part.files.map((file) => `${fileName(file)}\n${originOf(file)}\n${kindOf(file)}`.toLowerCase());
    hits = new Map();
    let files = 0, bytes = 0, packed = 0;
    leaves(tree(), (leaf) => {
      if (!words.every((word) => haystacks[leaf.file].includes(word))) return;
      files += 1; bytes += leaf.bytes; packed += leaf.packed;
      for (let at = leaf; at; at = at.parent) hits.set(at, (hits.get(at) || 0) + 1);
    });
    said.textContent = files ? `${count(files, "file")} match${files === 1 ? "es" : ""}: ${size(bytes)} unpacked, about ${size(packed)} compressed.` : "Nothing matches.";
  };

  // ---- moving
  const address = (node) => `#${[state.group, ...trail(node).slice(1).map((one) => one.name)].map(encodeURIComponent).join("/")}`;
  const show = (focus) => {
    const order = rank();
    legend(order);
    const list = trail(state.node).map((node, at, all) => make("li", {}, at + 1 === all.length ? make("span", { "aria-current": "location" }, node.name) : make("button", { type: "button", onclick: () => go(node, "map") }, node.name)));
    $("trail").replaceChildren(...list, make("li", { class: "soft sum" }, `${size(state.node.bytes)} unpacked, about ${size(state.node.packed)} compressed, ${count(state.node.files, "file")}`));
    const map = state.view === "map";
    $("map").hidden = !map;
    $("legend").hidden = !map;
    $("table").hidden = map;
    $("rows-box").hidden = map;
    tip(null);
    if (map) draw(); else table();
    if (focus === "map" && map && tiles.length) tiles[0].element.focus();
    if (focus === "table") { const first = $("table").querySelector("td button, th button"); if (first) first.focus(); }
  };
  const go = (node, focus, from) => {
    state.node = node;
    state.shown = ROWS;
    const wanted = address(node);
    if (location.hash !== wanted) history.pushState(null, "", wanted);
    show(focus);
    const back = from && tiles && tiles.find((one) => one.node === from);
    if (back) focusTile(back);
  };
  const up = (focus) => { if (state.node.parent) go(state.node.parent, focus, state.node); };
  const find = (hash) => {
    let names;
    try { names = hash.slice(1).split("/").map(decodeURIComponent); } catch { names = []; }
    if (!["origin", "folder", "layer", "kind"].includes(names[0])) return tree();
    state.group = names[0];
    $("group").value = state.group;
    let node = tree();
    for (const name of names.slice(1)) {
      const next = node.kids.find((kid) => kid.name === name && kid.file === null);
      if (!next) break;
      node = next;
    }
    return node;
  };
  const focusTile = (place) => {
    for (const one of tiles) one.element.tabIndex = one === place ? 0 : -1;
    place.element.focus({ preventScroll: false });
  };
  const near = (place, key) => {
    const middle = (one) => [one.box.x + one.box.w / 2, one.box.y + one.box.h / 2];
    const [x, y] = middle(place);
    const flat = key === "ArrowLeft" || key === "ArrowRight";
    const sign = key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1;
    let best = null, least = Infinity;
    for (const one of tiles) {
      if (one === place) continue;
      const [ox, oy] = middle(one);
      const ahead = sign * (flat ? ox - x : oy - y), aside = Math.abs(flat ? oy - y : ox - x);
      if (ahead <= 0.5) continue;
      const cost = ahead + aside * 2;
      if (cost < least) { least = cost; best = one; }
    }
    return best;
  };
  const activate = (place) => {
    if (!place.node) { state.rows = "children"; setView("table", "table"); return; }
    if (place.node.file === null && place.node.kids.length) go(place.node, "map");
    else { const box = place.element.getBoundingClientRect(); tip(place, box.left + box.width / 2, box.top + box.height / 2); }
  };
  const setView = (view, focus) => {
    state.view = view;
    for (const input of document.getElementsByName("view")) input.checked = input.value === view;
    show(focus);
  };
  const placeAt = (event) => { const element = event.target.closest && event.target.closest(".t"); return element ? element.place : null; };

  const wire = () => {
    const map = $("map");
    map.addEventListener("click", (event) => {
      const place = placeAt(event);
      if (!place) return;
      // A file further down opens the folder that it is in.
      const target = place.node && place.node.file !== null && place.level > 1 ? { node: place.node.parent } : place;
      if (target.node && target.node !== state.node && target.node.file === null) go(target.node, "map");
      else activate(place);
    });
    map.addEventListener("mousemove", (event) => tip(placeAt(event), event.clientX, event.clientY));
    map.addEventListener("mouseleave", () => tip(null));
    map.addEventListener("focusin", (event) => {
      const place = placeAt(event);
      if (!place || !event.target.matches(":focus-visible")) return;
      const box = event.target.getBoundingClientRect();
      tip(place, box.left + Math.min(box.width / 2, 200), box.top + Math.min(box.height / 2, 120));
    });
    map.addEventListener("focusout", () => tip(null));
    map.addEventListener("keydown", (event) => {
      const place = placeAt(event);
      if (!place || event.ctrlKey || event.metaKey || event.altKey) return;
      let next = null;
      if (event.key.startsWith("Arrow")) next = near(place, event.key);
      else if (event.key === "Home") next = tiles[0];
      else if (event.key === "End") next = tiles[tiles.length - 1];
      else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); activate(place); return; }
      else if (event.key === "Backspace") { event.preventDefault(); up("map"); return; }
      else return;
      event.preventDefault();
      if (next) focusTile(next);
    });
    document.addEventListener("keydown", (event) => {
      const typing = event.target === $("search");
      if (event.key === "Escape") {
        if (typing && state.query) { $("search").value = ""; state.query = ""; search(); show(); }
        else if (!typing) up(state.view);
        event.preventDefault();
      } else if (event.key === "/" && !typing && event.target.tagName !== "SELECT") { event.preventDefault(); $("search").focus(); }
    });
    let waiting = 0;
    $("search").addEventListener("input", (event) => {
      state.query = event.target.value;
      clearTimeout(waiting);
      waiting = setTimeout(() => { search(); state.shown = ROWS; show(); }, 60);
    });
    $("search").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      clearTimeout(waiting);
      state.query = event.target.value;
      search();
      if (!hits || !hits.size) { show(); return; }
      // Down to the deepest place that has every match.
      let node = tree();
      for (;;) {
        const next = node.kids.find((kid) => hits.get(kid) === hits.get(node) && kid.file === null);
        if (!next) break;
        node = next;
      }
      go(node, state.view);
    });
    for (const id of ["colour", "measure", "rows"]) $(id).addEventListener("change", (event) => { state[id] = event.target.value; show(); });
    $("group").addEventListener("change", (event) => { state.group = event.target.value; search(); go(tree()); });
    for (const input of document.getElementsByName("view")) input.addEventListener("change", () => setView(input.value));
    $("platform").addEventListener("change", (event) => { choose(Number(event.target.value)); go(tree()); });
    addEventListener("popstate", () => { state.node = find(location.hash); search(); show(); });
    new ResizeObserver(() => { if (state.view === "map") draw(); }).observe(map);
  };

  // ---- what stands around the map
  const facts = () => {
    const fact = (number, text) => make("span", {}, make("b", {}, number), ` ${text}`);
    const list = [make("span", {}, part.platform), fact(size(part.compressed), "compressed"), fact(size(part.uncompressed), "unpacked"), fact(String(part.files.length), "files"), fact(String(part.layers.length), "layers")];
    if (part.transferred != null) list.push(fact(size(part.transferred), "sent by an update"));
    $("facts").replaceChildren(...list);
    $("note").textContent = part.note;
    $("layers").replaceChildren(...part.layers.map((layer, at) => {
      const text = `${layer.name}: ${size(layer.compressed)} compressed, ${size(layer.uncompressed)} unpacked, ${count(layer.files, "file")}${layer.known ? ", already there before the update" : ""}`;
      const button = make("button", { type: "button", title: text, "aria-label": text, class: layer.known ? "known" : "", onclick: () => {
        state.group = "layer"; $("group").value = "layer"; search();
        go(tree().kids.find((kid) => kid.name === layer.name) || tree(), "map");
      } }, `${layer.name} `, size(layer.compressed));
      button.style.flexGrow = String(Math.max(1, layer.compressed));
      button.style.setProperty("--hue", HUES[at % HUES.length]);
      return button;
    }));
    $("more").replaceChildren(...part.tables.flatMap((one) => [make("h2", {}, one.title), one.text ? make("p", { class: "soft" }, one.text) : null, one.rows.length ? plain(one) : null].filter(Boolean)));
  };
  const plain = (one) => make("div", { class: "wide" }, make("table", {}, make("thead", {}, make("tr", {}, ...one.columns.map(([name, kind]) => make("th", { scope: "col", class: kind === "text" ? "" : "n" }, name)))),
    make("tbody", {}, ...one.rows.map((row) => make("tr", {}, ...row.map((cell, at) => make("td", { class: one.columns[at][1] === "text" ? "" : "n" }, one.columns[at][1] === "bytes" ? size(cell) : one.columns[at][1] === "change" ? `${cell > 0 ? "+" : cell < 0 ? "−" : ""}${size(Math.abs(cell))}` : String(cell))))))));
  const choose = (number) => {
    state.platform = number;
    part = data.platforms[number];
    trees = {};
    haystacks = null;
    facts();
    search();
  };
  const start = () => {
    $("platform-box").hidden = data.platforms.length < 2;
    $("platform").replaceChildren(...data.platforms.map((one, at) => make("option", { value: at }, one.platform)));
    if (data.changes) $("colour").append(make("option", { value: "change" }, "change by the update"));
    choose(0);
    state.node = find(location.hash);
    wire();
    show();
    document.documentElement.dataset.ready = "yes";
  };
  start();
})();
