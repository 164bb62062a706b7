// Below each figure: save it as SVG or PNG, in the colours of the day, or its numbers as CSV. Nothing is sent anywhere.
(function () {
  "use strict";
  var root = document.documentElement;
  var SVG_TYPE = "image/svg+xml";
  function save(name, content) {
    var link = document.createElement("a");
    link.href = URL.createObjectURL(content);
    link.download = name;
    link.click();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 60000);
  }
  // The figure as a file of its own: variables of the page become their values, and it stands on paper.
  function standalone(svg) {
    var before = root.dataset.theme;
    root.dataset.theme = "light";
    var style = getComputedStyle(svg);
    var text = new XMLSerializer().serializeToString(svg).replace(/<[^>]+>/g, function (tag) {
      return tag.replace(/var\((--[\w-]+)(?:, *([^)]*))?\)/g, function (match, name, otherwise) {
        return style.getPropertyValue(name).trim() || otherwise;
      }).replace(/currentColor/g, style.getPropertyValue("--ink").trim());
    });
    var paper = '<rect width="100%" height="100%" fill="' + style.getPropertyValue("--paper").trim() + '"/>';
    if (before) { root.dataset.theme = before; } else { delete root.dataset.theme; }
    return text.replace("</desc>", "</desc>" + paper);
  }
  function savePng(name, svg) {
    var image = new Image();
    image.addEventListener("load", function () {
      var canvas = document.createElement("canvas");
      canvas.width = 2 * svg.viewBox.baseVal.width;
      canvas.height = 2 * svg.viewBox.baseVal.height;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob(function (content) { save(name, content); }, "image/png");
    });
    image.src = "data:" + SVG_TYPE + ";charset=utf-8," + encodeURIComponent(standalone(svg));
  }
  function offer(figure) {
    var name = figure.dataset.name;
    var svg = figure.querySelector("svg.plot");
    var ways = {
      SVG: function () { save(name + ".svg", new Blob([standalone(svg)], { type: SVG_TYPE })); },
      PNG: function () { savePng(name + ".png", svg); },
      CSV: function () {
        var numbers = figure.querySelector("template.numbers").content.textContent;
        save(name + ".csv", new Blob([numbers], { type: "text/csv" }));
      }
    };
    var line = document.createElement("p");
    line.className = "save";
    line.append("Save");
    Object.keys(ways).forEach(function (kind) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = kind;
      button.setAttribute("aria-label", "Save " + figure.querySelector("h3").textContent + " as " + kind);
      button.addEventListener("click", ways[kind]);
      line.append(button);
    });
    figure.append(line);
  }
  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("figure[data-name]").forEach(offer);
  });
})();
