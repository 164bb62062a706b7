(function () {
  "use strict";
  var root = document.documentElement;
  var key = "penlight-theme";
  function kept() { try { return localStorage.getItem(key); } catch (error) { return null; } }
  function keep(theme) { try { localStorage.setItem(key, theme); } catch (error) { return; } }
  function shown() {
    if (root.dataset.theme) { return root.dataset.theme; }
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }
  var before = kept();
  if (before === "dark" || before === "light") { root.dataset.theme = before; }
  document.addEventListener("DOMContentLoaded", function () {
    var button = document.getElementById("theme");
    function name() { button.textContent = shown() === "dark" ? "Day" : "Night"; }
    button.hidden = false;
    name();
    button.addEventListener("click", function () {
      root.dataset.theme = shown() === "dark" ? "light" : "dark";
      keep(root.dataset.theme);
      name();
    });
  });
})();
