"use strict";

// What is drawn of curves: smoothed, cut, and joined to the columns that uPlot wants. Knows nothing of the page.
// A curve is {name, mark, x, y, low, high, runs}, with low and high null where it has no band; in its columns null is a gap.
// `runs` are the single runs behind a mean, {x, y} each.
const curves = (() => {
  // Exponential moving average over the points, its start put right; gaps stay gaps.
  function smoothed(values, weight) {
    let [sum, total] = [0, 0];
    return values.map((v) => {
      if (v === null) return null;
      sum = weight * sum + (1 - weight) * v;
      total = weight * total + (1 - weight);
      return sum / total;
    });
  }

  function where(curve, wanted) {
    const kept = curve.x.map((x, i) => i).filter((i) => wanted(curve.x[i]));
    if (kept.length === curve.x.length) return curve;
    const pick = (values) => values && kept.map((i) => values[i]);
    const [x, y, low, high, raw] = [curve.x, curve.y, curve.low, curve.high, curve.raw].map(pick);
    return { ...curve, x, y, low, high, raw };
  }

  // The x range in which every curve has values: [largest first x, smallest last x]. Empty curves do not count, nor
  // those of runs that have not ended or that have a single point, unless there are no others.
  function shared(all) {
    let range = [-Infinity, Infinity];
    const points = ({ y }) => y.filter((v) => v !== null).length;
    const whole = all.filter(({ partial }) => !partial);
    const ended = whole.length ? whole : all;
    const long = ended.filter((curve) => points(curve) > 1);
    for (const { x, y } of long.length ? long : ended) {
      const there = (v) => v !== null;
      const first = y.findIndex(there);
      if (first >= 0) range = [Math.max(range[0], x[first]), Math.min(range[1], x[y.findLastIndex(there)])];
    }
    return range;
  }

  // Curves as they are drawn; `range` is the range they were cut to, null where nothing had to go, and "none" where
  // they have no x in common and nothing was cut.
  function prepared(all, { weight, common, logX, logY, single }) {
    let kept = all.map((curve) => ({ ...curve, runs: single ? curve.runs : [] }));
    if (weight) {
      kept = kept.map((curve) => {
        const [y, low, high] = [curve.y, curve.low, curve.high].map((values) => values && smoothed(values, weight));
        const runs = curve.runs.map((run) => ({ ...run, y: smoothed(run.y, weight) }));
        return { ...curve, y, low, high, runs, raw: curve.y };
      });
    }
    const everywhere = (curve, wanted) => {
      const [cut, runs] = [where(curve, wanted), curve.runs.map((run) => where(run, wanted))];
      return cut === curve && runs.every((run, i) => run === curve.runs[i]) ? curve : { ...cut, runs };
    };
    if (logX) kept = kept.map((curve) => everywhere(curve, (x) => x > 0));
    let range = null;
    if (common) {
      const [first, last] = shared(kept);
      const cut = kept.map((curve) => everywhere(curve, (x) => x >= first && x <= last));
      if (first > last) range = "none";
      else if (cut.some((curve, i) => curve !== kept[i])) [kept, range] = [cut, [first, last]];
    }
    const positive = (values) => values && values.map((v) => (v > 0 ? v : null));
    // A band that reaches below the positive numbers goes down to the edge of a log axis.
    const above = (c) => ({ ...c, y: positive(c.y), high: positive(c.high), raw: positive(c.raw) });
    if (logY) kept = kept.map((c) => ({ ...above(c), runs: c.runs.map(above) }));
    return { kept, range };
  }

  // All x, the single runs, the raw curves, then each curve's y and, where it has a band, low and high. A curve that
  // has no point at an x of another one is drawn through (undefined). `lines` says which column is what; 0 is none.
  function joined(all) {
    const places = [...new Set(all.flatMap(({ x, runs }) => [...x, ...runs.flatMap((run) => run.x)]))];
    places.sort((a, b) => a - b);
    const index = new Map(places.map((x, i) => [x, i]));
    const columns = [places];
    const add = ({ x }, values) => {
      if (!values) return 0;
      const column = new Array(places.length).fill(undefined);
      x.forEach((place, i) => {
        column[index.get(place)] = values[i];
      });
      return columns.push(column) - 1;
    };
    const lines = all.map(({ name, mark, runs }) => ({ name, mark, runs: runs.map((run) => add(run, run.y)) }));
    all.forEach((curve, i) => {
      lines[i].raw = add(curve, curve.raw);
    });
    all.forEach((curve, i) => {
      for (const part of ["y", "low", "high"]) lines[i][part] = add(curve, curve[part]);
    });
    return { columns, lines };
  }

  return { smoothed, prepared, joined };
})();
