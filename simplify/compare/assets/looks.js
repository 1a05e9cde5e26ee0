"use strict";

// The data of the page, and how curves look wherever they are drawn.
const looks = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const styles = new Map(data.styles.map((style) => [style.name, style]));

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

  // A short piece of a curve's line. Its ink is the style sheet's, so that it follows the ground.
  function swatch(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const put = (on, values) => Object.entries(values).forEach(([key, value]) => on.setAttribute(key, value));
    const { colour } = styles.get(name);
    put(svg, { class: "swatch", width: 24, height: 8, "aria-hidden": "true" });
    put(line, { x1: 0, x2: 24, y1: 4, y2: 4, stroke: colour, "stroke-width": Math.max(2, widthOf(name)) });
    put(line, { "stroke-dasharray": dashOf(name).join(" "), ...(colour === "#000000" ? { class: "ink" } : {}) });
    svg.append(line);
    return svg;
  }

  const viewOf = (panel, axis) => {
    const find = (wanted) => panel.views.find(({ key }) => key === wanted);
    return find(axis) || find(panel.first);
  };
  const curvesOf = (view) => {
    const column = (place) => (place === null ? null : data.columns[place]);
    return view.curves.map(({ name, partial, mark, runs = [], ...parts }) => {
      const [x, y, low, high] = [parts.x, parts.y, parts.low, parts.high].map(column);
      return { name, partial, mark, x, y, low, high, runs: runs.map((one) => ({ x: column(one[0]), y: column(one[1]) })) };
    });
  };

  const several = data.panels.some(({ views }) => views.some((view) => view.curves.some(({ runs }) => runs)));
  const of = { panels: data.panels, names: [...styles.keys()], several };
  return { ...of, element, theme, colourOf, widthOf, dashOf, swatch, viewOf, curvesOf };
})();
