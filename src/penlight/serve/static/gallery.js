// Choosing runs to compare. The form works without this; here it says what is chosen.

const form = document.getElementById("compare");

function say() {
  const boxes = [...document.querySelectorAll('input[name="run"]')];
  const names = boxes.filter((box) => box.checked).map((box) => box.getAttribute("aria-label").replace("Compare ", ""));
  const told = [
    "Choose two runs of the same images to compare them.",
    `${names[0]} is chosen; choose another run of the same images.`,
  ];
  document.getElementById("chosen").textContent = told[names.length] ?? `Chosen: ${names.join(", ")}.`;
  form.querySelector("button").disabled = names.length < 2;
}

if (form) {
  document.addEventListener("change", say);
  // A browser that comes back to the page keeps what was chosen.
  window.addEventListener("pageshow", say);
}
