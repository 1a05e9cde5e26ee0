"use strict";

// What the reader has chosen. It is kept in the address, so that a link or a reload shows the same.
const state = (() => {
  const WEIGHTS = [0, 0.6, 0.9, 0.97]; // of smoothing
  const { panels, names } = looks;
  const axes = new Map(); // an axis without a key is its panel's only one, and cannot be chosen
  for (const { key, label } of panels.flatMap(({ views }) => views)) if (key && !axes.has(key)) axes.set(key, label);
  const chosen = { axis: "", weight: 0, common: true, single: false, hidden: new Set(), logX: new Set(), logY: new Set() };

  const first = () => panels.find(({ views }) => views[0].key)?.first ?? "";
  const plain = (flag) => panels.filter((panel) => panel[flag]).map(({ key }) => key);

  function read() {
    const found = new URLSearchParams(location.hash.slice(1));
    chosen.axis = axes.has(found.get("axis")) ? found.get("axis") : first();
    chosen.weight = WEIGHTS.find((weight) => weight === Number(found.get("smooth"))) ?? 0;
    chosen.common = found.get("common") !== "off";
    chosen.single = found.get("runs") === "on";
    chosen.hidden = new Set(found.getAll("hide").filter((name) => names.includes(name)));
    for (const [flag, own] of [["logX", "log_x"], ["logY", "log_y"]]) {
      chosen[flag] = new Set([...plain(own), ...found.getAll(flag)]);
      found.getAll(flag.replace("log", "lin")).forEach((key) => chosen[flag].delete(key));
    }
  }

  // Only what is not as it was at first.
  function write() {
    const told = new URLSearchParams();
    if (chosen.axis !== first()) told.set("axis", chosen.axis);
    if (chosen.weight) told.set("smooth", String(chosen.weight));
    if (!chosen.common) told.set("common", "off");
    if (chosen.single) told.set("runs", "on");
    chosen.hidden.forEach((name) => told.append("hide", name));
    for (const [flag, own] of [["logX", "log_x"], ["logY", "log_y"]]) {
      for (const { key, [own]: start } of panels) {
        if (chosen[flag].has(key) !== start) told.append(start ? flag.replace("log", "lin") : flag, key);
      }
    }
    try {
      history.replaceState(null, "", `#${told}`);
    } catch {
      // A page inside another one may have no address of its own.
    }
  }

  read();
  return { WEIGHTS, axes, chosen, read, write };
})();
