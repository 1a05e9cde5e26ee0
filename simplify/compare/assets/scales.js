"use strict";

// How numbers become places and texts on an axis. Knows nothing of the page.
const scales = (() => {
  const FLAT = 1e-4; // less variation than this part of the size is rounding, and drawn flat
  const WHOLE = Array.from({ length: 60 }, (_, k) => [1, 2, 5][k % 3] * 10 ** Math.floor(k / 3));
  // From which size on, the unit, its prefix. Larger numbers are powers of ten.
  const PREFIXES = [[1e12, 1, ""], [1e9, 1e9, "G"], [1e6, 1e6, "M"], [1e4, 1e3, "k"]];

  const plain = (value) => {
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-3 || size >= 1e12) ? value.toExponential().replace("e+", "e") : String(value);
  };

  // A number with so many significant digits: 0.0312, 12345, 1.2M, 3e15, 2e-7.
  function format(value, digits) {
    const rounded = Number(value.toPrecision(digits));
    const size = Math.abs(rounded);
    const [, unit, prefix] = (size >= 1e6 && PREFIXES.find(([least]) => size >= least)) || [0, 1, ""];
    return plain(Number((rounded / unit).toPrecision(digits))) + prefix;
  }

  // The same, with zeros at the end kept, so that numbers below each other line up.
  function figures(value, digits) {
    const text = value.toPrecision(digits);
    return text.includes("e") || Math.abs(value) < 1e-3 ? format(value, digits) : text;
  }

  // The texts of an axis' ticks: all with the prefix of the largest, or each with its own.
  function tickTexts(ticks, each) {
    const largest = Math.max(0, ...ticks.map(Math.abs)); // |null| is 0
    return ticks.map((v) => {
      const [, unit, prefix] = PREFIXES.find(([least]) => (each ? Math.abs(v) : largest) >= least) || [0, 1, ""];
      if (v === null) return "";
      return plain(Number((v / unit).toPrecision(10))) + (v === 0 ? "" : prefix);
    });
  }

  // Points with a gap on both sides, which no line shows.
  function alone(column) {
    const there = column.map((v, i) => i).filter((i) => column[i] !== undefined);
    const missing = (i) => i === undefined || column[i] === null;
    const found = there.filter((i, n) => !missing(i) && missing(there[n - 1]) && missing(there[n + 1]));
    return found.length ? found : null;
  }

  function rangeX(log) {
    return (u, low, high) => {
      if (low === null || !Number.isFinite(low + high)) return log ? [1, 10] : [0, 1];
      if (low !== high) return [low, high];
      return log ? [low / 2, high * 2] : [low - 1, high + 1];
    };
  }

  // Least and largest value of all curves from `focus` of the x range on; null where the chart is zoomed.
  function focused(u, focus) {
    const xs = u.data[0];
    const { min, max } = u.scales.x;
    if (!focus || !xs.length || (min ?? xs[0]) > xs[0] || (max ?? xs.at(-1)) < xs.at(-1)) return null;
    const start = xs[0] + focus * (xs.at(-1) - xs[0]);
    const first = xs.findIndex((x) => x >= start);
    let [low, high] = [Infinity, -Infinity];
    u.series.forEach((series, i) => {
      if (i === 0 || series.show === false) return;
      for (let k = first; k < xs.length; k += 1) {
        const v = u.data[i][k];
        if (v != null) [low, high] = [Math.min(low, v), Math.max(high, v)];
      }
    });
    return low <= high ? [low, high] : null;
  }

  function rangeY(log, focus) {
    return (u, allLow, allHigh) => {
      const [low, high] = focused(u, focus) ?? [allLow, allHigh];
      if (low === null || !Number.isFinite(low + high)) return log ? [1, 10] : [0, 1];
      const size = Math.max(Math.abs(low), Math.abs(high));
      if (log) {
        const room = high > low * 1.05 ? (high / low) ** 0.05 : 2;
        return [low / room, high * room];
      }
      const room = high - low > FLAT * size ? 0.05 * (high - low) : 0.05 * size || 1;
      return [low - room, high + room];
    };
  }

  // Powers of ten far apart, then digits between them, and even steps where the ends are close together.
  function logTicks(low, high) {
    const decades = Math.log10(high / low);
    const ticks = [];
    if (decades < 0.5) {
      const step = 10 ** Math.floor(Math.log10((high - low) / 2));
      for (let k = Math.ceil(low / step); k * step <= high; k += 1) ticks.push(Number((k * step).toPrecision(12)));
      return ticks.length > 10 ? ticks.filter((tick) => Math.round(tick / step) % 5 === 0) : ticks;
    }
    const digits = decades > 2 ? [1] : decades > 0.8 ? [1, 2, 5] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const step = Math.ceil(decades / 7);
    for (let k = Math.floor(Math.log10(low) / step) * step; k <= Math.log10(high); k += step) {
      ticks.push(...digits.map((digit) => Number(`${digit}e${k}`)));
    }
    return ticks.filter((tick) => tick >= low && tick <= high);
  }

  return { WHOLE, format, figures, tickTexts, alone, rangeX, rangeY, logTicks };
})();
