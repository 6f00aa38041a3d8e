// Shows the predictions of the service.

const SURE = 0.6;
const FOR = [214, 96, 32];
const AGAINST = [58, 124, 204];

const percent = new Intl.NumberFormat("en", {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});

function share(probability) {
  return probability > 0.999 ? "> 99.9%" : percent.format(probability);
}

export class Answer {
  #prediction = null;
  #explains = false;
  #part = (id) => document.getElementById(id);

  // Shows a response of POST /predict?include=pixels,attributions and how long it took.
  show(answer, milliseconds) {
    const [prediction] = answer.predictions;
    this.#prediction = prediction;
    this.#fail("");
    this.#part("facts").textContent =
      `${answer.model}, version ${answer.version}, ${milliseconds.toFixed(0)} ms`;
    if (prediction.pixels.every((level) => level === 0)) {
      this.#say("", "The image is blank: draw a digit.", false);
      this.#fill(prediction.probabilities.map(() => 0));
    } else {
      this.#read(prediction);
    }
    this.#paint();
  }

  fail(message) {
    this.#forget("No prediction.");
    this.#fail(message);
  }

  clear() {
    this.#forget("Nothing drawn yet.");
    this.#fail("");
  }

  set explains(explains) {
    this.#explains = explains;
    this.#part("plain").hidden = explains;
    this.#part("explained").hidden = !explains;
    this.#paint();
  }

  #read({ label, confidence, probabilities }) {
    const names = [...this.#part("bars").children].map((row) => row.firstChild.textContent);
    const order = probabilities.map((_, index) => index);
    order.sort((a, b) => probabilities[b] - probabilities[a]);
    if (confidence >= SURE) {
      this.#say(label, `Prediction: ${label}, ${share(confidence)}.`, true);
    } else {
      const guesses = order.slice(0, 2).map(
        (index) => `${names[index]} (${share(probabilities[index])})`,
      );
      this.#say("?", `Not sure: ${guesses.join(" or ")}.`, false);
    }
    this.#fill(probabilities, order[0]);
  }

  #forget(words) {
    this.#prediction = null;
    this.#say("", words, false);
    this.#fill([]);
    this.#part("facts").textContent = "";
    this.#paint();
  }

  #fail(message) {
    this.#part("error").textContent = message;
    this.#part("error").hidden = message === "";
  }

  #say(label, words, sure) {
    this.#part("label").textContent = label;
    this.#part("verdict").textContent = words;
    this.#part("answer").classList.toggle("unsure", !sure);
  }

  #fill(probabilities, first = null) {
    [...this.#part("bars").children].forEach((row, index) => {
      const probability = probabilities[index];
      row.classList.toggle("first", index === first);
      row.querySelector(".bar").style.width = `${100 * (probability ?? 0)}%`;
      row.querySelector(".share").textContent = probability === undefined ? "" : share(probability);
    });
  }

  #paint() {
    const canvas = this.#part("seen");
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const image = context.createImageData(canvas.width, canvas.height);
    const levels = this.#prediction?.pixels ?? [];
    const weights = this.#explains ? (this.#prediction?.attributions ?? []) : [];
    const most = Math.max(...weights.map(Math.abs), 1e-9);
    for (let pixel = 0; pixel < canvas.width * canvas.height; pixel += 1) {
      const level = levels[pixel] ?? 0;
      const weight = weights[pixel] ?? 0;
      const part = Math.sqrt(Math.abs(weight) / most);
      const colour = weight > 0 ? FOR : AGAINST;
      const grey = this.#explains ? level / 3 : level;
      for (let channel = 0; channel < 3; channel += 1) {
        image.data[4 * pixel + channel] = grey + part * (colour[channel] - grey);
      }
      image.data[4 * pixel + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }
}
