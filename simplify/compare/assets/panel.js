"use strict";

// The frame around a chart: title, log switches, values, explanation. Draws charts when they come near the window.
const panelFrame = (() => {
  const { element, swatch } = looks;
  const { chosen } = state;
  const all = [];

  const near = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const drawn = all.find(({ plot }) => plot === target);
        drawn.near = isIntersecting;
        if (isIntersecting && drawn.stale) chart.draw(drawn);
      }
    },
    { rootMargin: "400px" },
  );
  const sized = new ResizeObserver((entries) => {
    for (const { target } of entries) chart.resize(all.find(({ plot }) => plot === target));
  });

  // Shows the state; charts that are out of sight are drawn once they come near.
  function refresh(drawn, now = drawn.near) {
    drawn.stale = true;
    drawn.logX.checked = chosen.logX.has(drawn.panel.key);
    drawn.logY.checked = chosen.logY.has(drawn.panel.key);
    if (now) chart.draw(drawn);
  }

  function logSwitch(drawn, flag, text) {
    const label = element("label", "", ` ${text}`);
    const box = element("input", "");
    box.type = "checkbox";
    label.prepend(box);
    box.addEventListener("change", () => {
      if (box.checked) chosen[flag].add(drawn.panel.key);
      else chosen[flag].delete(drawn.panel.key);
      state.write();
      refresh(drawn, true);
    });
    drawn[flag] = box;
    return label;
  }

  // The hover line by keys: arrows and Home and End move it, Escape takes it away and undoes the zoom.
  function onKey({ u }, event) {
    if (!u) return;
    const wide = u.over.clientWidth;
    const left = u.cursor.left < 0 ? wide : u.cursor.left;
    const step = event.shiftKey ? wide / 10 : wide / 100;
    const places = { ArrowLeft: left - step, ArrowRight: left + step, Home: 0, End: wide };
    if (event.key === "Escape") {
      u.setScale("x", { min: u.data[0][0], max: u.data[0].at(-1) });
      u.setCursor({ left: -10, top: -10 }, true, true);
    } else if (event.key in places) {
      event.preventDefault();
      u.setCursor({ left: Math.min(wide, Math.max(0, places[event.key])), top: 10 }, true, true);
    }
  }

  function add(panel) {
    const section = element("section", "panel");
    section.id = `panel-${panel.key}`;
    section.setAttribute("aria-label", panel.title);
    const names = [...new Set(panel.views.flatMap((view) => view.curves).map(({ name }) => name))];
    const banded = panel.views.some((view) => view.curves.some(({ low }) => low !== null));
    const values = element("div", banded ? "values banded" : "values");
    const [plot, places, note] = [element("div", "plot"), element("div", "place"), element("p", "note")];
    plot.tabIndex = 0;
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", `chart: ${panel.title}; arrow keys move the hover line`);
    values.append(places);
    const rows = new Map(
      names.map((name) => {
        const [row, value] = [element("div", "value"), element("span", "")];
        row.title = name;
        row.append(swatch(name), element("span", "name", name), value);
        values.append(row);
        return [name, { row, value }];
      }),
    );
    const drawn = { panel, plot, places, rows, note, u: null, near: false, stale: true };
    const head = element("div", "head");
    const switches = element("div", "switches");
    switches.append(logSwitch(drawn, "logX", "log x"), logSwitch(drawn, "logY", "log y"));
    head.append(element("h3", "", panel.title), switches);
    section.append(head, note, plot, values, element("p", "", panel.explanation));
    document.querySelector(`[data-section="${panel.section}"]`).append(section);
    plot.addEventListener("keydown", (event) => onKey(drawn, event));
    all.push(drawn);
    refresh(drawn, false);
    near.observe(plot);
    sized.observe(plot);
  }

  return { all, add, refresh };
})();
