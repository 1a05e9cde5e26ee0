"use strict";

// The bar at the top: x axis, smoothing, common range, and the legend. Acts on all charts.
const controls = (() => {
  const { element, swatch, names, panels, several } = looks;
  const { chosen, axes, WEIGHTS } = state;
  const all = document.getElementById("controls");
  const HINT =
    "Drag in a chart to zoom, double click for the whole range. Click a name to hide its curve everywhere, double " +
    "click to see it alone. In a chart that has the focus, arrow keys move the hover line and Escape undoes the zoom.";
  const legend = document.getElementById("legend");

  function group(title) {
    const made = element("fieldset", "");
    made.append(element("legend", "", title));
    all.append(made);
    return made;
  }

  // One of several values, as a row of buttons.
  function segments(title, key, texts, changed) {
    const made = group(title);
    for (const [value, text] of texts) {
      const [label, input] = [element("label", "segment"), element("input", "")];
      Object.assign(input, { type: "radio", name: key, value: String(value) });
      label.append(input, element("span", "", text));
      input.addEventListener("change", () => {
        chosen[key] = value;
        changed();
      });
      made.append(label);
    }
  }

  function addControls(changed) {
    const chosenAxes = panels.some(({ views }) => views[0].key);
    const smooth = panels.some((panel) => panel.smooth);
    all.hidden = !chosenAxes && !smooth && !several;
    if (chosenAxes) segments("x axis", "axis", axes, changed);
    const weights = WEIGHTS.map((weight) => [weight, weight ? String(weight) : "off"]);
    if (smooth) segments("smoothing", "weight", weights, changed);
    if (chosenAxes) check("common", "common range", "cut all curves that are shown to the x range that they share", changed);
    if (several) check("single", "single runs", "a thin line for each run behind a mean", changed);
  }

  function check(key, text, title, changed) {
    const [label, box] = [element("label", "check", ` ${text}`), element("input", "")];
    Object.assign(box, { type: "checkbox", id: key });
    label.title = title;
    label.prepend(box);
    box.addEventListener("change", () => {
      chosen[key] = box.checked;
      changed();
    });
    all.append(label);
  }

  function addLegend(changed) {
    legend.hidden = !names.length;
    if (names.length) document.getElementById("bar").before(element("p", "hint", HINT));
    for (const name of names) {
      const button = element("button", "");
      button.type = "button";
      button.dataset.name = name;
      button.title = "click: show or hide in all charts; double click: this one alone, or all";
      button.append(swatch(name), element("span", "", name));
      button.addEventListener("click", () => {
        if (!chosen.hidden.delete(name)) chosen.hidden.add(name);
        changed();
      });
      button.addEventListener("dblclick", () => {
        const others = names.filter((other) => other !== name);
        const single = others.every((other) => chosen.hidden.has(other));
        chosen.hidden.clear();
        if (!single) others.forEach((other) => chosen.hidden.add(other));
        changed();
      });
      legend.append(button);
    }
  }

  function show() {
    for (const input of all.querySelectorAll("[type=radio]")) {
      input.checked = String(chosen[input.name]) === input.value;
    }
    for (const box of all.querySelectorAll("[type=checkbox]")) box.checked = chosen[box.id];
    for (const button of legend.children) {
      button.setAttribute("aria-pressed", String(!chosen.hidden.has(button.dataset.name)));
    }
  }

  function add(changed) {
    addControls(changed);
    addLegend(changed);
    show();
    // Where the bar is narrower than what it holds, the chosen axis is in sight.
    const axis = all.querySelector("[name=axis]:checked");
    if (axis) all.scrollLeft = axis.parentElement.offsetLeft - 48;
  }

  return { add, show };
})();
