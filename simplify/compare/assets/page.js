"use strict";

// Draws one chart for each panel of the data in #data. Hovering, zooming and the legend act on all of them.
(() => {
  const HEIGHT = 260;
  const { WHOLE, format, alone, rangeX, rangeY, logTicks } = scales;
  const FEW = 12; // so many points are marked one by one
  const data = JSON.parse(document.getElementById("data").textContent);
  for (const panel of data.panels) {
    const view = panel.views.find(({ key }) => key === panel.first);
    panel.x_label = view.label;
    panel.curves = view.curves.map(({ name, x, y, low, high }) => {
      const [xs, ys, lows, highs] = [x, y, low, high].map((place) => (place === null ? null : data.columns[place]));
      return { name, x: xs, y: ys, low: lows, high: highs };
    });
  }
  const styles = new Map(data.styles.map((style) => [style.name, style]));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const hidden = new Set(); // names of curves that are switched off
  const charts = [];

  const element = (tag, name, text = "") => {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = text; // never as HTML: a name is a text
    return made;
  };
  const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  // Black is the ink: light on a dark ground.
  const colourOf = (name) => (styles.get(name).colour === "#000000" ? theme("ink") : styles.get(name).colour);
  const widthOf = (name) => (styles.get(name).width * 4) / 3; // points to pixels
  const dashOf = (name) => styles.get(name).dash.map((length) => length * widthOf(name));

  function swatch(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const put = (on, values) => Object.entries(values).forEach(([key, value]) => on.setAttribute(key, value));
    put(svg, { width: 24, height: 8, "aria-hidden": "true" });
    put(line, { x1: 0, x2: 24, y1: 4, y2: 4, stroke: colourOf(name), "stroke-width": Math.max(2, widthOf(name)) });
    put(line, { "stroke-dasharray": dashOf(name).join(" ") });
    svg.append(line);
    return svg;
  }

  // The columns that uPlot wants: all x, then y, low and high of each curve. A curve that has no point at an x of
  // another one is drawn through (undefined); a missing value is a gap (null).
  function columnsOf(panel, log) {
    const positive = (values) => (log ? values.map((v) => (v > 0 ? v : null)) : values);
    const tables = panel.curves.map(({ x, y, low, high }) => {
      const none = x.map(() => null);
      return [x, positive(y), low || none, high ? positive(high) : none];
    });
    return tables.length ? uPlot.join(tables) : [[]];
  }

  function seriesOf(panel, columns) {
    const all = [{}];
    const bands = [];
    for (const { name } of panel.curves) {
      const column = columns[all.length];
      const few = column.filter((v) => v != null).length <= FEW;
      const points = { show: few, filter: few ? null : alone(column), size: 5 + widthOf(name), fill: colourOf(name) };
      const look = { stroke: colourOf(name), width: widthOf(name), dash: dashOf(name), points };
      const edge = { width: 0, points: { show: false } };
      for (const one of [look, edge, { ...edge }]) all.push({ ...one, show: !hidden.has(name), pxAlign: 0 });
      bands.push({ series: [all.length - 1, all.length - 2], fill: colourOf(name) + "2b" });
    }
    return { series: all, bands };
  }

  // The band of a point that stands alone: an upright line.
  function drawAloneBands(u, i) {
    if (i % 3 !== 1) return;
    for (const index of alone(u.data[i]) || []) {
      const [low, high] = [u.data[i + 1][index], u.data[i + 2][index]];
      if (low == null || high == null) continue;
      const x = u.valToPos(u.data[0][index], "x", true);
      const top = u.valToPos(high, "y", true);
      u.ctx.fillStyle = u.series[i].stroke(u, i) + "80";
      u.ctx.fillRect(x - uPlot.pxRatio, top, 2 * uPlot.pxRatio, u.valToPos(low, "y", true) - top);
    }
  }

  // Below a chart, at its hover line: each curve's value; without one, its last value.
  function showValues(chart) {
    const { u, panel, places, rows } = chart;
    const last = u.data[0].length - 1;
    const at = u.cursor.idx;
    places.textContent = last < 0 ? "" : `${panel.x_label} ${format(u.data[0][at ?? last], 10)}`;
    panel.curves.forEach(({ name }, i) => {
      // Of a curve that has no point at this very x, the nearest one.
      const ownLast = u.data[1 + 3 * i].findLastIndex((v) => v !== undefined);
      const index = at == null ? ownLast : (u.cursor.idxs[1 + 3 * i] ?? at);
      const [y, low, high] = [1, 2, 3].map((j) => u.data[j + 3 * i][index]);
      rows[i].row.hidden = hidden.has(name);
      rows[i].value.textContent = y == null ? "–" : format(y, 4);
      if (y != null && low != null && high != null) {
        rows[i].value.append(element("span", "band", ` (${format(low, 3)} … ${format(high, 3)})`));
      }
    });
  }

  function optionsFor(chart, columns) {
    const { panel, plot, log } = chart;
    const font = "12px system-ui, sans-serif";
    const axis = { stroke: theme("soft"), font, labelFont: font, labelSize: 18 };
    const lines = { grid: { stroke: theme("grid"), width: 1 }, ticks: { stroke: theme("line"), width: 1, size: 5 } };
    const texts = (u, ticks) => ticks.map((v) => (v === null ? "" : format(v, 10)));
    const whole = columns[0].every(Number.isInteger) ? { incrs: WHOLE } : {};
    const splits = log ? { splits: (u, i, low, high) => logTicks(low, high), filter: (u, ticks) => ticks } : {};
    const longest = (u, ticks) => Math.max(3, ...(ticks || []).map((text) => text.length));
    return {
      width: plot.clientWidth,
      height: HEIGHT,
      ...seriesOf(panel, columns),
      legend: { show: false },
      cursor: {
        y: false,
        points: { size: (u, i) => (i % 3 === 1 ? 8 : 0) }, // none on the edges of bands
        // Charts over the same quantity share hover line and zoom.
        sync: { key: panel.x_label, setSeries: false, scales: ["x", null] },
      },
      scales: {
        x: { time: false, range: rangeX },
        y: { distr: log ? 3 : 1, range: rangeY(log) },
      },
      axes: [
        { ...axis, ...lines, ...whole, size: 32, label: panel.x_label, values: texts },
        { ...axis, ...lines, ...splits, size: (u, ticks) => 14 + 7 * longest(u, ticks), label: panel.y_label, values: texts },
      ],
      hooks: { setCursor: [() => chart.u && showValues(chart)], drawSeries: [drawAloneBands] },
    };
  }

  function draw(chart) {
    chart.u?.destroy();
    chart.u = null;
    const columns = columnsOf(chart.panel, chart.log);
    chart.plot.classList.toggle("empty", !columns.some((column, i) => i % 3 === 1 && column.some((v) => v != null)));
    chart.u = new uPlot(optionsFor(chart, columns), columns, chart.plot);
    showValues(chart);
  }

  function addPanel(panel) {
    const section = element("section", "panel");
    section.id = `panel-${panel.key}`;
    const head = element("div", "head");
    const label = element("label", "", " log");
    const log = element("input", "");
    log.type = "checkbox";
    log.checked = panel.log_y;
    label.prepend(log);
    head.append(element("h3", "", panel.title), label);
    const plot = element("div", "plot");
    const values = element("div", panel.curves.some(({ low }) => low) ? "values banded" : "values");
    const places = element("div", "place");
    values.append(places);
    const rows = panel.curves.map(({ name }) => {
      const row = element("div", "value");
      const value = element("span", "");
      row.title = name;
      row.append(swatch(name), element("span", "name", name), value);
      values.append(row);
      return { row, value };
    });
    section.append(head, plot, values, element("p", "", panel.explanation));
    document.querySelector(`[data-section="${panel.section}"]`).append(section);
    const chart = { panel, plot, places, rows, log: panel.log_y, u: null };
    charts.push(chart);
    draw(chart);
    log.addEventListener("change", () => {
      chart.log = log.checked;
      draw(chart);
    });
    chart.observer = new ResizeObserver(() => chart.u.setSize({ width: plot.clientWidth, height: HEIGHT }));
    chart.observer.observe(plot);
  }

  function showCurves() {
    for (const button of document.querySelectorAll("#legend button")) {
      button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.name)));
    }
    for (const chart of charts) {
      chart.u.batch(() => {
        chart.panel.curves.forEach(({ name }, i) => {
          for (const j of [1, 2, 3]) chart.u.setSeries(j + 3 * i, { show: !hidden.has(name) }, false);
        });
      });
      showValues(chart);
    }
  }

  function addLegend() {
    const names = [...styles.keys()];
    for (const name of names) {
      const button = element("button", "");
      button.type = "button";
      button.dataset.name = name;
      button.title = "click: show or hide in all charts; double click: this one alone, or all";
      button.append(swatch(name), element("span", "", name));
      button.addEventListener("click", () => {
        if (!hidden.delete(name)) hidden.add(name);
        showCurves();
      });
      button.addEventListener("dblclick", () => {
        const others = names.filter((other) => other !== name);
        const alone = others.every((other) => hidden.has(other));
        hidden.clear();
        if (!alone) others.forEach((other) => hidden.add(other));
        showCurves();
      });
      document.getElementById("legend").append(button);
    }
    showCurves();
  }

  function drawAll() {
    document.getElementById("legend").replaceChildren();
    document.querySelectorAll(".charts").forEach((place) => place.replaceChildren());
    for (const chart of charts.splice(0)) {
      chart.observer.disconnect();
      chart.u.destroy();
    }
    data.panels.forEach(addPanel);
    addLegend();
  }

  dark.addEventListener("change", drawAll);
  drawAll();
})();
