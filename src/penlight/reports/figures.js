// Below each figure: save it as SVG or PNG, in the colours of the day, or its numbers as CSV. Nothing is sent anywhere.
(function () {
  "use strict";
  var root = document.documentElement;
  var SVG_TYPE = "image/svg+xml";
  var NAMESPACE = "http://www.w3.org/2000/svg";
  function save(name, content) {
    var link = document.createElement("a");
    link.href = URL.createObjectURL(content);
    link.download = name;
    link.click();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 60000);
  }
  // A drawing as a file of its own: variables of the page become their values, and it stands on paper.
  function standalone(svg) {
    var style = getComputedStyle(svg);
    var text = new XMLSerializer().serializeToString(svg).replace(/<[^>]+>/g, function (tag) {
      return tag.replace(/var\((--[\w-]+)(?:, *([^)]*))?\)/g, function (match, name, otherwise) {
        return style.getPropertyValue(name).trim() || otherwise;
      }).replace(/currentColor/g, style.getPropertyValue("--ink").trim());
    });
    var paper = '<rect width="100%" height="100%" fill="' + style.getPropertyValue("--paper").trim() + '"/>';
    return text.replace("</desc>", "</desc>" + paper);
  }
  // Pictures and the words about them as a drawing, each where the page has it.
  function drawing(pictures, name) {
    var title = document.createElementNS(NAMESPACE, "title");
    var svg = document.createElementNS(NAMESPACE, "svg");
    var whole = pictures.getBoundingClientRect();
    function add(name, box, attributes, text) {
      var element = document.createElementNS(NAMESPACE, name);
      var place = { x: box.left - whole.left, y: box.top - whole.top, width: box.width, height: box.height };
      [place, attributes].forEach(function (own) {
        Object.keys(own).forEach(function (key) { element.setAttribute(key, own[key]); });
      });
      element.textContent = text || "";
      svg.append(element);
    }
    svg.setAttribute("viewBox", "0 0 " + whole.width + " " + whole.height);
    svg.setAttribute("width", whole.width);
    svg.setAttribute("height", whole.height);
    title.textContent = name;
    svg.append(title);
    add("rect", whole, { fill: getComputedStyle(root).getPropertyValue("--paper").trim() });
    [pictures].concat(Array.from(pictures.querySelectorAll(".lightbox"))).forEach(function (box) {
      if (box.matches(".lightbox")) { add("rect", box.getBoundingClientRect(), { fill: "#000" }); }
    });
    pictures.querySelectorAll("img").forEach(function (image) {
      var style = getComputedStyle(image);
      add("image", image.getBoundingClientRect(), {
        href: image.src, preserveAspectRatio: "none", filter: style.filter, "image-rendering": style.imageRendering
      });
    });
    var texts = document.createTreeWalker(pictures, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      var node = texts.currentNode;
      var style = getComputedStyle(node.parentNode);
      Array.from(node.data.matchAll(/\S+/g)).forEach(function (word) {
        var range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        var box = range.getBoundingClientRect();
        add("text", { left: box.left, top: box.top + 0.78 * box.height, width: box.width, height: box.height }, {
          fill: style.color, "font-family": style.fontFamily, "font-size": style.fontSize
        }, word[0]);
      });
    }
    return new XMLSerializer().serializeToString(svg);
  }
  // The figure as the text of an SVG, by day.
  function textOf(figure) {
    var before = root.dataset.theme;
    var svg = figure.querySelector("svg.plot");
    root.dataset.theme = "light";
    var text = svg ? standalone(svg) : drawing(figure.querySelector(".pictures"), figure.dataset.title);
    if (before) { root.dataset.theme = before; } else { delete root.dataset.theme; }
    return text;
  }
  function savePng(name, text) {
    var image = new Image();
    image.addEventListener("load", function () {
      var canvas = document.createElement("canvas");
      canvas.width = 2 * image.naturalWidth;
      canvas.height = 2 * image.naturalHeight;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob(function (content) { save(name, content); }, "image/png");
    });
    image.src = "data:" + SVG_TYPE + ";charset=utf-8," + encodeURIComponent(text);
  }
  function offer(figure) {
    var name = figure.dataset.name;
    var title = figure.dataset.title || figure.querySelector("h3").textContent;
    var ways = {
      SVG: function () { save(name + ".svg", new Blob([textOf(figure)], { type: SVG_TYPE })); },
      PNG: function () { savePng(name + ".png", textOf(figure)); },
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
      button.setAttribute("aria-label", "Save " + title + " as " + kind);
      button.addEventListener("click", ways[kind]);
      line.append(button);
    });
    figure.append(line);
  }
  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("figure[data-name]").forEach(offer);
  });
})();
