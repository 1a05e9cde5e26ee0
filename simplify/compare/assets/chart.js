"use strict";

// One chart: a panel's curves, as the state says, with their values below.
const chart = (() => {
  const FEW = 12; // where no curve has more points, each one is marked
  const FAR = 0.02; // a curve that ends farther from the hover line than this part of the axis has no value there
  const { element, theme, colourOf, widthOf, dashOf } = looks;
  const { WHOLE, format, figures, tickTexts, alone, rangeX, rangeY, logTicks } = scales;
  const { chosen } = state;

  function seriesOf(columns, lines) {
    const series = columns.map(() => ({}));
    const bands = [];
    const few = lines.every(({ y }) => columns[y].filter((v) => v != null).length <= FEW);
    for (const { name, mark, runs, raw, y, low, high } of lines) {
      const [colour, width] = [colourOf(name), widthOf(name)];
      const each = few || Boolean(mark);
      const size = (mark === "filled" ? 8 : 5) + width;
      const fill = mark === "hollow" || mark === "cross" ? theme("card") : colour;
      const points = { show: each, filter: each ? null : alone(columns[y]), size, fill };
      series[y] = { stroke: colour, width: mark === "cross" ? 0 : width, dash: dashOf(name), points, pxAlign: 0 };
      for (const run of runs) {
        series[run] = { stroke: `${colour}90`, width: 1, dash: dashOf(name), points: { show: few, size: 3 }, pxAlign: 0 };
      }
      if (raw) series[raw] = { stroke: `${colour}48`, width: 1, points: { show: false }, pxAlign: 0 };
      if (low) {
        for (const edge of [low, high]) series[edge] = { width: 0, points: { show: false }, pxAlign: 0 };
        bands.push({ series: [high, low], fill: `${colour}2b` });
      }
    }
    return { series, bands };
  }

  // The band of a point that stands alone: an upright line.
  function drawAloneBands(drawn, u, i) {
    const line = drawn.lines.find(({ y }) => y === i);
    if (!line?.low) return;
    for (const index of alone(u.data[i]) || []) {
      const [low, high] = [u.data[line.low][index], u.data[line.high][index]];
      if (low == null || high == null) continue;
      const x = u.valToPos(u.data[0][index], "x", true);
      const top = u.valToPos(high, "y", true);
      u.ctx.fillStyle = `${colourOf(line.name)}80`;
      u.ctx.fillRect(x - uPlot.pxRatio, top, 2 * uPlot.pxRatio, u.valToPos(low, "y", true) - top);
    }
  }

  // Where a curve is read at the hover line: its nearest point; without a hover line, its last one.
  function indexOf(u, column) {
    const there = (v) => v !== undefined;
    const at = u.cursor.idx;
    const last = u.data[column].findLastIndex(there);
    if (at == null || last < 0) return last;
    const [x, { min, max }] = [u.data[0], u.scales.x];
    const far = FAR * (max - min);
    if (x[at] > x[last] + far || x[at] < x[u.data[column].findIndex(there)] - far) return -1;
    return u.cursor.idxs[column] ?? at;
  }

  // Below a chart, at its hover line: each curve's value; without one, its last value.
  function showValues({ u, view, lines, places, rows }) {
    const at = u.cursor.idx;
    const x = u.data[0][at ?? u.data[0].length - 1];
    places.textContent = x === undefined ? "" : at == null ? "each curve's last point" : `${view.label}: ${format(x, 6)}`;
    for (const [name, { row, value }] of rows) {
      const line = lines.find((one) => one.name === name);
      row.hidden = !line;
      if (!line) continue;
      const index = indexOf(u, line.y);
      const [y, low, high] = [line.y, line.low, line.high].map((column) => (column ? u.data[column][index] : null));
      value.textContent = y == null ? "–" : figures(y, 4);
      if (y != null && low != null && high != null) {
        value.append(element("span", "band", ` (${figures(low, 4)} … ${figures(high, 4)})`));
      }
    }
  }

  function optionsFor(drawn, columns, { logX, logY }) {
    const font = "12px system-ui, sans-serif";
    const axis = { stroke: theme("soft"), font, labelFont: font, labelSize: 18 };
    const lines = { grid: { stroke: theme("grid"), width: 1 }, ticks: { stroke: theme("line"), width: 1, size: 5 } };
    const splits = { splits: (u, i, low, high) => logTicks(low, high), filter: (u, ticks) => ticks };
    const texts = (log) => (u, ticks) => tickTexts(ticks, log);
    const whole = columns[0].every(Number.isInteger) ? { incrs: WHOLE } : {};
    const longest = (u, ticks) => Math.max(3, ...(ticks || []).map((text) => text.length));
    return {
      width: drawn.plot.clientWidth,
      height: drawn.plot.clientHeight || 260, // 0 where the medium is paper already
      padding: [10, 16, 0, 0], // half of the last tick's text stands beyond the axis
      ...seriesOf(columns, drawn.lines),
      legend: { show: false },
      cursor: {
        y: false,
        points: { size: (u, i) => (drawn.lines.some(({ y }) => y === i) ? 8 : 0) }, // none on bands and raw curves
        // Charts over the same quantity share hover line and zoom.
        sync: { key: drawn.view.label, setSeries: false, scales: ["x", null] },
      },
      scales: {
        x: { time: false, distr: logX ? 3 : 1, range: rangeX(logX) },
        y: { distr: logY ? 3 : 1, range: rangeY(logY, drawn.panel.focus) },
      },
      axes: [
        { ...axis, ...lines, ...(logX ? splits : whole), size: 32, label: drawn.view.label, values: texts(logX) },
        {
          ...{ ...axis, ...lines, ...(logY ? splits : {}), label: drawn.panel.y_label, values: texts(logY) },
          size: (u, ticks) => 18 + 7 * longest(u, ticks),
        },
      ],
      hooks: {
        setCursor: [() => drawn.u && showValues(drawn)],
        drawSeries: [(u, i) => drawAloneBands(drawn, u, i)],
      },
    };
  }

  function noteOf(weight, range, lines) {
    const alike = lines.some(({ low }) => low) ? "; bands too" : "";
    const smooth = weight ? `smoothed (EMA ${weight}), raw behind${alike}` : "";
    const [first, last] = Array.isArray(range) ? range.map((x) => format(x, 4)) : [];
    const cut = range === "none" ? "no common range: nothing cut" : range ? `common range ${first} … ${last}` : "";
    return [smooth, cut].filter(Boolean).join(" · ");
  }

  // The part of the x axis that was zoomed to, if it is still there.
  function zoomOf({ u, view }, next, columns) {
    if (!u || view !== next || !columns[0].length) return null;
    const { min, max } = u.scales.x;
    const [first, last] = [u.data[0][0], u.data[0].at(-1)];
    return (min > first || max < last) && min >= columns[0][0] && max <= columns[0].at(-1) ? { min, max } : null;
  }

  // Draws a chart anew. `drawn` is what `panel.js` holds of it: {panel, plot, places, rows, note}, and here u and more.
  function draw(drawn) {
    const { panel } = drawn;
    const view = looks.viewOf(panel, chosen.axis);
    const weight = panel.smooth ? chosen.weight : 0;
    const logs = { logX: chosen.logX.has(panel.key), logY: chosen.logY.has(panel.key) };
    const shown = looks.curvesOf(view).filter(({ name }) => !chosen.hidden.has(name));
    const common = Boolean(view.key) && chosen.common;
    const { kept, range } = curves.prepared(shown, { weight, common, single: chosen.single, ...logs });
    const { columns, lines } = curves.joined(kept);
    const zoom = zoomOf(drawn, view, columns);
    drawn.u?.destroy();
    Object.assign(drawn, { u: null, view, lines, stale: false });
    drawn.plot.classList.toggle("empty", !lines.some(({ y }) => columns[y].some((v) => v != null)));
    drawn.note.textContent = noteOf(weight, range, lines);
    drawn.u = new uPlot(optionsFor(drawn, columns, logs), columns, drawn.plot);
    if (zoom) drawn.u.setScale("x", zoom);
    showValues(drawn);
  }

  // On paper the style sheet makes pictures fit.
  function resize({ u, plot }) {
    const paper = document.documentElement.classList.contains("paper");
    if (u && !paper) u.setSize({ width: plot.clientWidth, height: plot.clientHeight });
  }

  return { draw, resize };
})();
