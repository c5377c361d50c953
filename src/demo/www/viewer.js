// One film on a canvas: window, zoom and pan by mouse, touch and keyboard. Films side by side zoom and pan together.
import { el } from './dom.js';

const SIDE = 512;

export class Viewer {
  /** `picture` has `values` row by row, `rows`, `columns`, `inverted` and perhaps a window; `group` moves together. */
  constructor(picture, name, group) {
    this.picture = picture;
    this.group = group;
    let [low, high] = [Infinity, -Infinity];
    for (const value of picture.values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    this.range = [low, Math.max(high, low + 1)];
    const span = this.range[1] - this.range[0];
    this.start = {
      center: picture.window_center ?? low + span / 2,
      width: Math.max(picture.window_width ?? span, 1),
    };
    this.canvas = el('canvas', {
      width: SIDE, height: SIDE, tabindex: '0', role: 'application',
      'aria-label': `${name}. Arrow keys pan, plus and minus zoom, brackets change the contrast, comma and full stop the brightness, I inverts, 0 resets.`,
    });
    this.bitmap = document.createElement('canvas');
    this.bitmap.width = picture.columns;
    this.bitmap.height = picture.rows;
    const id = `w${Math.random().toString(36).slice(2)}`;
    const reach = Math.max(span, this.start.width);
    this.brightness = this.slider(id + 'b', 'Brightness', -reach, reach, (v) => { this.center = this.start.center - v; });
    this.contrast = this.slider(id + 'c', 'Contrast', -100, 100, (v) => { this.width = this.start.width * 2 ** (-v / 25); });
    this.button = (text, label, act) => el('button', { type: 'button', class: 'small', 'aria-label': label, onclick: act }, text);
    this.element = el('div', { class: 'viewer' }, this.canvas,
      el('div', { class: 'tools' }, this.brightness.row, this.contrast.row,
        el('div', { class: 'buttons', role: 'group', 'aria-label': 'View' },
          this.button('−', 'Zoom out', () => this.zoomBy(1 / 1.25)),
          this.button('+', 'Zoom in', () => this.zoomBy(1.25)),
          this.button('Invert', 'Invert', () => this.invert()),
          this.button('Reset', 'Reset the view', () => this.reset()))));
    this.listen();
    this.reset();
  }

  slider(id, text, low, high, set) {
    const input = el('input', { id, type: 'range', min: low, max: high, step: 'any', value: 0 });
    input.addEventListener('input', () => {
      set(Number(input.value));
      this.paint();
    });
    return { input, row: el('div', { class: 'slider' }, el('label', { for: id }, text), input) };
  }

  reset() {
    Object.assign(this, { ...this.start, inverted: this.picture.inverted });
    this.brightness.input.value = 0;
    this.contrast.input.value = 0;
    this.move({ zoom: 1, x: 0, y: 0 });
    this.paint();
  }

  invert() {
    this.inverted = !this.inverted;
    this.paint();
  }

  /** Grey levels of the window, as DICOM PS3.3 C.11.2.1.2 has them, on the bitmap. */
  paint() {
    const { values, rows, columns } = this.picture;
    const context = this.bitmap.getContext('2d');
    const image = context.createImageData(columns, rows);
    for (let at = 0; at < values.length; at += 1) {
      let grey = ((values[at] - (this.center - 0.5)) / Math.max(this.width - 1, 1e-6) + 0.5) * 255;
      if (this.inverted) grey = 255 - grey;
      image.data[at * 4] = image.data[at * 4 + 1] = image.data[at * 4 + 2] = grey;
      image.data[at * 4 + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    this.draw();
  }

  draw() {
    const context = this.canvas.getContext('2d');
    const { rows, columns } = this.picture;
    const scale = (SIDE / Math.max(rows, columns)) * this.view.zoom;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = '#000';
    context.fillRect(0, 0, SIDE, SIDE);
    context.imageSmoothingEnabled = scale < 4;
    context.setTransform(scale, 0, 0, scale, SIDE / 2 + this.view.x * this.view.zoom, SIDE / 2 + this.view.y * this.view.zoom);
    context.drawImage(this.bitmap, -columns / 2, -rows / 2);
    this.canvas.classList.toggle('zoomed', this.view.zoom > 1);
  }

  /** Moves this film and those beside it. */
  move(view) {
    const zoom = Math.min(Math.max(view.zoom, 1), 16);
    const most = (SIDE / 2) * (1 - 1 / zoom);
    const within = (v) => Math.min(Math.max(v, -most), most);
    for (const viewer of new Set([this, ...this.group])) {
      viewer.view = { zoom, x: within(view.x), y: within(view.y) };
      viewer.draw();
    }
  }

  zoomBy(factor) {
    this.move({ ...this.view, zoom: this.view.zoom * factor });
  }

  panBy(x, y) {
    this.move({ ...this.view, x: this.view.x + x / this.view.zoom, y: this.view.y + y / this.view.zoom });
  }

  nudge(slider, by) {
    slider.input.value = Number(slider.input.value) + by * (slider.input.max / 20);
    slider.input.dispatchEvent(new Event('input'));
  }

  listen() {
    const step = SIDE / 16;
    const keys = {
      ArrowLeft: () => this.panBy(step, 0), ArrowRight: () => this.panBy(-step, 0),
      ArrowUp: () => this.panBy(0, step), ArrowDown: () => this.panBy(0, -step),
      '+': () => this.zoomBy(1.25), '=': () => this.zoomBy(1.25), '-': () => this.zoomBy(1 / 1.25),
      '[': () => this.nudge(this.contrast, -1), ']': () => this.nudge(this.contrast, 1),
      ',': () => this.nudge(this.brightness, -1), '.': () => this.nudge(this.brightness, 1),
      i: () => this.invert(), 0: () => this.reset(),
    };
    this.canvas.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
    const pointers = new Map();
    this.canvas.addEventListener('pointerdown', (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event);
    });
    for (const end of ['pointerup', 'pointercancel']) {
      this.canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
    }
    this.canvas.addEventListener('pointermove', (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const ratio = SIDE / this.canvas.clientWidth;
      const [x, y] = [(event.clientX - before.clientX) * ratio, (event.clientY - before.clientY) * ratio];
      const other = [...pointers.values()].find((p) => p.pointerId !== event.pointerId);
      if (other) {
        const apart = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
        this.zoomBy(apart(event) / Math.max(apart(before), 1));
      } else if (event.shiftKey) {
        this.nudge(this.contrast, x / 25);
        this.nudge(this.brightness, -y / 25);
      } else {
        this.panBy(x, y);
      }
      pointers.set(event.pointerId, event);
    });
    // A wheel that merely scrolls the page past the film does not zoom it.
    this.canvas.addEventListener('wheel', (event) => {
      if (document.activeElement !== this.canvas && !event.ctrlKey) return;
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? 1.15 : 1 / 1.15);
    }, { passive: false });
  }
}
