// Asking a run about images: each is sent, answered and shown; nothing is kept anywhere.

import { bitmapOf, canvasOf, draw, drawOver } from "./pictures.js";

const at = (id) => document.getElementById(id);
const ask = at("ask");
const run = ask.dataset.run;
const root = ask.dataset.root;
const ordered = ask.dataset.ordered === "true";
const exclusive = ask.dataset.exclusive === "true";
const AT_A_TIME = 2;
const neighbours = Number(ask.dataset.neighbours);

/** One image: its file, and what came of it. */
class Film {
  constructor(file, truth) {
    Object.assign(this, { file, truth, answer: null, model: null, error: null, image: null, maps: new Map(), alike: null });
    this.button = this.makeButton();
  }

  makeButton() {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    const thumb = document.createElement("canvas");
    thumb.width = thumb.height = 48;
    thumb.setAttribute("aria-hidden", "true");
    button.append(thumb, span("name", this.file.name), span("said", "waiting"));
    button.addEventListener("click", () => show(this));
    return button;
  }

  get said() {
    if (this.error) return "no answer";
    if (this.answer.unusual) return "unlike the training images";
    return this.answer.several_possible ? "several possible" : inWords(this.answer.answers);
  }
}

const films = [];
let shown = null;

// Words

/** A label with a comma in it would look like two. */
function quoted(label) {
  return label.includes(",") ? `"${label}"` : label;
}

function listed(names, joint = "and") {
  const all = names.map(quoted);
  return all.length > 1 ? `${all.slice(0, -1).join(", ")} ${joint} ${all.at(-1)}` : (names[0] ?? "");
}

function inWords(names, joint = "and") {
  return names.length ? listed(names, joint) : "no finding";
}

function written(p) {
  if (p > 0 && p < 0.005) return "< 0.01";
  return p < 1 && p >= 0.995 ? "> 0.99" : p.toFixed(2);
}

function headline(answer) {
  if (answer.unusual) return "No answer";
  if (answer.several_possible) return exclusive ? inWords(answer.possible, "or") : "No answer";
  if (exclusive) return inWords(answer.answers);
  return answer.answers.length ? inWords(answer.answers) : "No finding above its threshold";
}

/** What the answer is worth, in a few sentences. */
function worth(answer, model) {
  const said = [];
  const own = Object.entries(answer.probabilities).filter(([label]) => answer.answers.includes(label));
  const chances = own.map(([label, p]) => `${quoted(label)} ${written(p)}`);
  if (answer.abstains) {
    if (answer.unusual) said.push("The model abstains: the image is too unlike those that it was trained on.");
    if (answer.several_possible) said.push(`The model abstains: ${exclusive ? "several labels are possible" : "every finding is left open"}.`);
    if (chances.length) said.push(`Not to be relied on, it would say ${chances.join(" and ")}.`);
  } else if (exclusive && own.length) {
    said.push(`Probability ${written(own[0][1])}.`);
  }
  if (answer.why) said.push(sentence(answer.why));
  return said.concat(possible(answer, model), measured(answer, model)).join(" ");
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Which labels are possible; a label that is not listed is not excluded for certain, only less often right. */
function possible(answer, model) {
  if (answer.possible === null) return ["Which labels are possible is not known: this run keeps no sets of them."];
  if (exclusive) return [`Possible: ${listed(answer.possible)}.`];
  const left = answer.undecided ?? [];
  if (left.length === model.labels.length) return ["Each finding is possible, and may be absent."];
  return [left.length ? `Possible, and may be absent: ${listed(left)}.` : "No finding is left open."];
}

/** A share with two decimals, and one that is not quite 1 with as many as show that. */
function share(value) {
  let decimals = 2;
  while (value < 1 && Number(value.toFixed(decimals)) === 1 && decimals < 9) decimals += 1;
  return value.toFixed(decimals);
}

/** How often the truth was among the possible labels on test: of all images, and of those with the answered label. */
function measured(answer, model) {
  if (answer.possible === null) return [];
  const found = model.on_test?.coverage;
  if (!found) return ["How often the truth is among them was not measured."];
  const wanted = model.coverage === null ? "" : `, where ${share(model.coverage)} was wanted`;
  const labels = answer.answers.filter((label) => typeof found.labels[label] === "number");
  const own = labels.map((label) => `${quoted(label)} ${share(found.labels[label])}`);
  const of = own.length ? `; of those with ${own.join(", ")}` : "";
  return [`The truth was among them for ${share(found.value)} of ${found.of} on test (${found.images} ${found.images === 1 ? "image" : "images"})${wanted}${of}.`];
}

// Small elements

function span(name, text) {
  const made = document.createElement("span");
  made.className = name;
  made.textContent = text;
  return made;
}

function cell(tag, content) {
  const made = document.createElement(tag);
  made.append(content);
  return made;
}

function bar(p, cut) {
  const made = document.createElement("div");
  made.className = "chance";
  const fill = span("fill", "");
  fill.style.width = `${100 * p}%`;
  made.append(fill);
  if (cut !== undefined) {
    const mark = span("cut", "");
    mark.style.left = `${100 * cut}%`;
    mark.title = `threshold ${written(cut)}`;
    made.append(mark, span("visually-hidden", `threshold ${written(cut)}`));
  }
  return made;
}

// Asking

async function post(address, file) {
  const form = new FormData();
  form.append("file", file, file.name);
  let answer;
  try {
    answer = await fetch(address, { method: "POST", body: form });
  } catch {
    throw new Error("The server did not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({ error: `The server answered with ${answer.status}.`, do: "" }));
  throw new Error([told.error, told.do].filter(Boolean).join(" "));
}

async function answerFor(film) {
  try {
    const found = await (await post(`${root}/api/v1/runs/${run}/predict`, film.file)).json();
    film.answer = found.images[0];
    film.model = found.model;
    film.image = await createImageBitmap(await (await post(`${root}/runs/${run}/image`, film.file)).blob());
    draw(film.button.querySelector("canvas"), film.image);
  } catch (error) {
    film.error = error.message;
  }
  const said = film.button.querySelector(".said");
  said.textContent = film.said;
  said.classList.toggle("failed", Boolean(film.error));
}

async function add(files, truth = "") {
  if (!files.length) return;
  const begun = [...files].map((file) => new Film(file, truth));
  films.push(...begun);
  const list = document.querySelector(".films");
  list.append(...begun.map((film) => cell("li", film.button)));
  at("films").hidden = films.length < 2;
  ask.classList.add("asked", "busy");
  say(begun.length === 1 ? `Asking about ${begun[0].file.name}.` : `Asking about ${begun.length} images.`);
  const waiting = begun.slice(1);
  await answerFor(begun[0]);
  ask.classList.remove("busy");
  show(begun[0], true);
  await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
    while (waiting.length) await answerFor(waiting.shift());
  }));
  if (begun.length > 1) {
    const failed = begun.filter((film) => film.error).length;
    say(`${begun.length === 1 ? "1 image is" : `${begun.length} images are`} answered${failed ? `, but ${failed} of them could not be used` : ""}.`);
  }
}

// Showing

function say(text) {
  at("status").textContent = text;
}

function show(film, moveFocus = false) {
  shown = film;
  for (const other of films) other.button.setAttribute("aria-pressed", String(other === film));
  at("look").hidden = false;
  at("look").classList.toggle("without", Boolean(film.error));
  at("answer-file").textContent = film.truth ? `${film.file.name}, drawn as ${film.truth}` : film.file.name;
  if (film.error) showError(film);
  else showAnswer(film);
  if (moveFocus) lookAt();
}

/** Move the focus to the answer, and the page only where the answer would not be seen. */
function lookAt() {
  at("answer").focus({ preventScroll: true });
  if (at("look").getBoundingClientRect().top > 0.5 * window.innerHeight) at("look").scrollIntoView();
}

function showError(film) {
  at("answer-words").textContent = "No answer";
  at("answer-set").textContent = film.error;
  at("warnings").hidden = at("alike").hidden = true;
  say(`${film.file.name}: ${film.error}`);
}

function showAnswer(film) {
  const { answer, model } = film;
  at("answer-words").textContent = headline(answer);
  at("answer-set").textContent = worth(answer, model);
  showWarnings(answer.warnings);
  showChances(answer, model);
  say(`${film.file.name}: ${headline(answer)}. ${worth(answer, model)} ${answer.warnings.map((w) => w.text).join(" ")}`);
  const first = answer.answers[0] ?? mostProbable(answer);
  if (!film.chosen) film.chosen = first;
  at("label").value = film.chosen;
  explain();
}

function mostProbable(answer) {
  return Object.entries(answer.probabilities).reduce((best, next) => (next[1] > best[1] ? next : best))[0];
}

function showWarnings(warnings) {
  const list = at("warnings");
  list.hidden = warnings.length === 0;
  list.replaceChildren(...warnings.map((warning) => {
    const line = cell("li", cell("p", warning.text));
    line.classList.toggle("serious", warning.code === "unlike-training");
    return line;
  }));
}

function showChances(answer, model) {
  const rows = Object.entries(answer.probabilities);
  if (!ordered && rows.length > 6) {
    const yes = (label) => Number(answer.answers.includes(label));
    rows.sort(([a, p], [b, q]) => yes(b) - yes(a) || q - p);
  }
  at("chances").replaceChildren(...rows.map(([label, p]) => {
    const row = document.createElement("tr");
    const name = cell("th", span("name", label));
    name.scope = "row";
    const number = cell("td", written(p));
    number.className = "n";
    row.append(name, cell("td", bar(p, model.thresholds?.[label])), number);
    row.classList.toggle("yes", !answer.abstains && answer.answers.includes(label));
    return row;
  }));
}

// Explaining

async function explain() {
  const film = shown;
  const [label, method] = [at("label").value, at("method").value];
  film.chosen = label;
  const key = `${label}\n${method}`;
  paint();
  if (!film.maps.has(key)) {
    at("meaning").textContent = "The explanation is being made.";
    film.maps.set(key, await explanationOf(film, label, method));
  }
  if (film !== shown || label !== at("label").value || method !== at("method").value) return;
  paint();
}

async function explanationOf(film, label, method) {
  try {
    const asked = new URLSearchParams({ label, method, neighbours: String(film.alike ? 0 : neighbours) });
    const found = await (await post(`${root}/api/v1/runs/${run}/explain?${asked}`, film.file)).json();
    const own = found.explanations[0];
    if (own.neighbours) film.alike = own.neighbours;
    const empty = own.peak === null ? `Nothing in the image speaks for ${label}. ` : "";
    return { layer: await bitmapOf(own.map), meaning: empty + found.meaning };
  } catch (error) {
    return { layer: null, meaning: error.message };
  }
}

function paint() {
  const film = shown;
  if (!film?.image) return;
  const made = film.maps.get(`${at("label").value}\n${at("method").value}`);
  const opacity = Number(at("opacity").value);
  at("opacity-value").textContent = `${opacity} %`;
  if (made?.layer) drawOver(at("canvas"), film.image, made.layer, opacity / 100);
  else draw(at("canvas"), film.image);
  const over = made?.layer ? `, with what speaks for ${at("label").value} over it` : "";
  at("canvas").setAttribute("aria-label", `${film.file.name} as the model reads it${over}`);
  at("opacity").disabled = !made?.layer;
  if (made) at("meaning").textContent = made.meaning;
  showAlike(film.alike);
}

async function showAlike(alike) {
  at("alike").hidden = !alike?.length;
  if (!alike?.length) return;
  const items = await Promise.all(alike.map(async (own) => {
    const labels = own.labels.length ? own.labels.join(", ") : "no finding";
    const item = cell("li", canvasOf(await bitmapOf(own.image), 112, `Training image ${own.row}: ${labels}`));
    const line = cell("p", labels);
    const near = cell("p", `similarity ${own.similarity.toFixed(2)}`);
    near.className = "near";
    item.append(line, near);
    return item;
  }));
  if (alike === shown?.alike) document.querySelector(".alike").replaceChildren(...items);
}

// Files in

async function addExample() {
  const number = Math.floor(Math.random() * 10000);
  const answer = await fetch(`${root}/runs/${run}/example?number=${number}`);
  if (!answer.ok) {
    say("No example could be drawn.");
    return;
  }
  const truth = answer.headers.get("penlight-truth") ?? "";
  add([new File([await answer.blob()], `drawn-${number}.png`, { type: "image/png" })], truth);
}

function listen() {
  at("files").addEventListener("change", (event) => {
    add(event.target.files);
    event.target.value = "";
  });
  at("example")?.addEventListener("click", addExample);
  document.addEventListener("paste", (event) => add(event.clipboardData.files));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) at("drop").classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    at("drop").classList.remove("over");
    add(event.dataTransfer.files);
  });
  at("label").addEventListener("change", explain);
  at("method").addEventListener("change", explain);
  at("opacity").addEventListener("input", paint);
}

listen();
