// The drawing page: sends the drawing to the service and shows its prediction.

import { Answer } from "./answer.js";
import { Sheet } from "./sheet.js";
import { SNIPPETS } from "./snippets.js";

const ADDRESS = "predict?include=pixels,attributions";
const SAMPLE_SIDE = 28;

const part = (id) => document.getElementById(id);
const sheet = new Sheet(part("drawing"));
const answer = new Answer();
const samples = loadImage("page/samples.png");

// The image to classify if it is a file that was not drawn on; otherwise it is the drawing.
let file = null;
let asking = false;
let askAgain = false;
let pixels = null;
let language = "curl";

async function loadImage(address) {
  const response = await fetch(address);
  return createImageBitmap(await response.blob());
}

// Classifies the latest drawing; there is one request at a time.
async function ask() {
  if (asking) {
    askAgain = true;
    return;
  }
  asking = true;
  part("answer").ariaBusy = true;
  do {
    askAgain = false;
    await askOnce();
  } while (askAgain);
  asking = false;
  part("answer").ariaBusy = false;
}

async function askOnce() {
  if (sheet.empty && file === null) {
    answer.clear();
    showPixels(null);
    return;
  }
  const body = file ?? (await sheet.toBlob());
  const start = performance.now();
  try {
    const response = await fetch(ADDRESS, {
      method: "POST",
      headers: { "Content-Type": body.type },
      body,
    });
    const document = await response.json();
    if (!response.ok) {
      throw new Error(document.error);
    }
    answer.show(document, performance.now() - start);
    showPixels(document.predictions[0].pixels);
  } catch (error) {
    answer.fail(error instanceof TypeError ? "The service does not answer." : error.message);
    showPixels(null);
  }
}

function showPixels(seen) {
  pixels = seen;
  showCode();
}

function showCode() {
  const width = part("seen").width;
  const blank = Array(width * part("seen").height).fill(0);
  part("copy").textContent = "Copy";
  part("code").textContent = SNIPPETS[language](new URL(".", location.href).href.replace(/\/$/, ""), pixels ?? blank, width);
}

async function take(given) {
  if (!given) {
    return;
  }
  try {
    sheet.show(await createImageBitmap(given));
    file = given;
  } catch {
    answer.fail(`${given.name || "This"} is not an image that this browser can display.`);
  }
}

async function showSample() {
  const sprite = await samples;
  const left = SAMPLE_SIDE * Math.floor((Math.random() * sprite.width) / SAMPLE_SIDE);
  const top = SAMPLE_SIDE * Math.floor((Math.random() * sprite.height) / SAMPLE_SIDE);
  sheet.show(await createImageBitmap(sprite, left, top, SAMPLE_SIDE, SAMPLE_SIDE));
}

function choose(tab) {
  for (const other of part("code").parentElement.querySelectorAll("[role=tab]")) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
  }
  language = tab.id;
  part("code").setAttribute("aria-labelledby", tab.id);
  showCode();
}

sheet.addEventListener("change", () => {
  file = null;
  part("undo").disabled = part("clear").disabled = sheet.empty;
  // After `take` has set `file`.
  queueMicrotask(ask);
});

part("undo").addEventListener("click", () => sheet.undo());
part("clear").addEventListener("click", () => sheet.clear());
part("sample").addEventListener("click", showSample);
part("file").addEventListener("change", async (event) => {
  await take(event.target.files[0]);
  event.target.value = "";
});
part("explain").addEventListener("click", (event) => {
  const explains = event.target.getAttribute("aria-pressed") !== "true";
  event.target.setAttribute("aria-pressed", explains);
  answer.explains = explains;
});

for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" }[event.key];
    if (to && tab[to]) {
      choose(tab[to]);
      tab[to].focus();
    }
  });
}
part("copy").addEventListener("click", async (event) => {
  getSelection().selectAllChildren(part("code"));
  if (navigator.clipboard) {
    // Without TLS, browsers have no clipboard for pages of other machines; the code stays selected.
    await navigator.clipboard.writeText(part("code").textContent);
    event.target.textContent = "Copied";
  }
});

document.addEventListener("keydown", (event) => {
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
  if ((event.ctrlKey || event.metaKey) && event.key === "z") {
    sheet.undo();
  } else if (event.key === "Delete") {
    sheet.clear();
  } else if (plain && event.key.toLowerCase() === "s") {
    showSample();
  } else {
    return;
  }
  event.preventDefault();
});
document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  take(event.dataTransfer.files[0]);
});

showCode();
