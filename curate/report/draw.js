"use strict";
(function () {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map();

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function themed(layout) {
    const result = Object.assign({}, layout);
    result.font = Object.assign({ family: "system-ui, sans-serif", size: 12 }, layout.font, { color: colour("--ink") });
    result.hoverlabel = { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") } };
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(key)) {
        result[key] = Object.assign({}, layout[key], {
          gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"),
        });
      }
    }
    return result;
  }

  function paint(node) {
    const spec = JSON.parse(document.getElementById(node.dataset.spec).textContent);
    const layout = themed(spec.layout);
    delete layout.width;
    node.textContent = "";
    drawn.set(node, spec);
    Plotly.newPlot(node, spec.data, layout, { responsive: true, displayModeBar: false, scrollZoom: false });
  }

  dark.addEventListener("change", function () {
    for (const [node, spec] of drawn) Plotly.react(node, spec.data, themed(spec.layout));
  });

  const nodes = Array.from(document.querySelectorAll(".plot"));
  const watcher = new IntersectionObserver(function (entries) {
    for (const entry of entries) {
      if (entry.isIntersecting && !drawn.has(entry.target)) {
        watcher.unobserve(entry.target);
        paint(entry.target);
      }
    }
  }, { rootMargin: "600px" });
  nodes.forEach(function (node) { watcher.observe(node); });
  window.addEventListener("beforeprint", function () {
    nodes.forEach(function (node) { if (!drawn.has(node)) paint(node); });
  });
})();
