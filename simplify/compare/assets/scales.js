"use strict";

// How numbers become places and texts on an axis. Knows nothing of the page.
const scales = (() => {
  const FLAT = 1e-4; // less variation than this part of the size is rounding, and drawn flat
  const WHOLE = Array.from({ length: 30 }, (_, k) => [1, 2, 5][k % 3] * 10 ** Math.floor(k / 3));

  function format(value, digits) {
    const rounded = Number(value.toPrecision(digits));
    const size = Math.abs(rounded);
    return size !== 0 && (size < 1e-3 || size >= 1e6) ? rounded.toExponential() : String(rounded);
  }

  // Points with a gap on both sides, which no line shows.
  function alone(column) {
    const there = column.map((v, i) => i).filter((i) => column[i] !== undefined);
    const missing = (i) => i === undefined || column[i] === null;
    const found = there.filter((i, n) => !missing(i) && missing(there[n - 1]) && missing(there[n + 1]));
    return found.length ? found : null;
  }

  function rangeX(u, low, high) {
    if (low === null) return [0, 1];
    return low === high ? [low - 1, high + 1] : [low, high];
  }

  function rangeY(log) {
    return (u, low, high) => {
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
      for (let k = Math.ceil(low / step); k * step <= high; k += 1) ticks.push(k * step);
      return ticks.length > 10 ? ticks.filter((tick) => Math.round(tick / step) % 5 === 0) : ticks;
    }
    const digits = decades > 2 ? [1] : decades > 0.8 ? [1, 2, 5] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const step = Math.ceil(decades / 7);
    for (let k = Math.floor(Math.log10(low) / step) * step; k <= Math.log10(high); k += step) {
      ticks.push(...digits.map((digit) => Number(`${digit}e${k}`)));
    }
    return ticks.filter((tick) => tick >= low && tick <= high);
  }

  return { WHOLE, format, alone, rangeX, rangeY, logTicks };
})();
