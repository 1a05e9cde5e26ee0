"use strict";

// Puts the page together and answers what happens to all of it.
(() => {
  const bar = document.getElementById("bar");
  const root = document.documentElement;

  function showAll(now) {
    controls.show();
    for (const drawn of panelFrame.all) panelFrame.refresh(drawn, now);
  }

  // A table's row about a curve shows that curve's line.
  for (const cell of document.querySelectorAll("tbody td:first-child")) {
    if (looks.names.includes(cell.textContent)) cell.prepend(looks.swatch(cell.textContent), " ");
  }

  controls.add(() => {
    state.write();
    showAll();
  });
  looks.panels.forEach(panelFrame.add);

  // Links to a section scroll below the bar, and leave the address to the state.
  new ResizeObserver(() => root.style.setProperty("scroll-padding-top", `${bar.offsetHeight + 8}px`)).observe(bar);
  document.getElementById("contents")?.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    const heading = document.querySelector(`${link.getAttribute("href")} h2`);
    heading.tabIndex = -1;
    heading.scrollIntoView();
    heading.focus({ preventScroll: true });
  });
  addEventListener("hashchange", () => {
    if (location.hash.startsWith("#section-")) return;
    state.read();
    showAll();
  });

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => showAll());
  // Paper is white, and shows every chart.
  addEventListener("beforeprint", () => {
    root.classList.add("paper");
    showAll(true);
  });
  addEventListener("afterprint", () => {
    root.classList.remove("paper");
    showAll();
  });
})();
