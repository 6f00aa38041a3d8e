// The drawing area: strokes, an image below them, undo.

const PAPER = "#fff";
const INK = "#000";
// Strokes of a digit that fills most of the area are as wide as MNIST's.
const BRUSH_SHARE = 1 / 16;

export class Sheet extends EventTarget {
  #canvas;
  #context;
  #strokes = [];
  #picture = null;
  #pointer = null;

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#go(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(end, (event) => this.#end(event));
    }
    this.#paint();
  }

  get empty() {
    return this.#strokes.length === 0 && this.#picture === null;
  }

  undo() {
    if (this.#strokes.length > 0) {
      this.#strokes.pop();
    } else {
      this.#picture = null;
    }
    this.#change();
  }

  clear() {
    this.#strokes = [];
    this.#picture = null;
    this.#change();
  }

  // Replaces the drawing by an image, an ImageBitmap.
  show(picture) {
    this.#strokes = [];
    this.#picture = picture;
    this.#change();
  }

  // Returns the drawing as a PNG.
  toBlob() {
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/png"));
  }

  #begin(event) {
    if (event.button !== 0 || this.#pointer !== null) {
      return;
    }
    event.preventDefault();
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#strokes.push([this.#point(event)]);
    this.#change();
  }

  #go(event) {
    if (event.pointerId !== this.#pointer) {
      return;
    }
    const moves = event.getCoalescedEvents?.() ?? [];
    const points = (moves.length > 0 ? moves : [event]).map((move) => this.#point(move));
    this.#strokes.at(-1).push(...points);
    this.#change();
  }

  #end(event) {
    if (event.pointerId === this.#pointer) {
      this.#pointer = null;
    }
  }

  #point(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) * this.#canvas.width) / box.width,
      ((event.clientY - box.top) * this.#canvas.height) / box.height,
    ];
  }

  #change() {
    this.#paint();
    this.dispatchEvent(new Event("change"));
  }

  #paint() {
    const { width, height } = this.#canvas;
    const context = this.#context;
    context.fillStyle = PAPER;
    context.fillRect(0, 0, width, height);
    if (this.#picture) {
      const scale = Math.min(width / this.#picture.width, height / this.#picture.height);
      const wide = this.#picture.width * scale;
      const high = this.#picture.height * scale;
      context.drawImage(this.#picture, (width - wide) / 2, (height - high) / 2, wide, high);
    }
    context.strokeStyle = INK;
    context.lineWidth = width * BRUSH_SHARE;
    context.lineCap = context.lineJoin = "round";
    for (const [first, ...others] of this.#strokes) {
      context.beginPath();
      context.moveTo(...first);
      for (const point of others.length > 0 ? others : [first]) {
        context.lineTo(...point);
      }
      context.stroke();
    }
  }
}
