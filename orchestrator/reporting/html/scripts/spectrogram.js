// Spectrograms of clips: short-time Fourier transforms drawn on a canvas.

// Fourier transform in place, radix 2: of complex numbers re + i im, whose count is a power of two.
function fourier(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) { [re[i], re[j]] = [re[j], re[i]]; [im[i], im[j]] = [im[j], im[i]]; }
  }
  for (let size = 2; size <= n; size <<= 1) {
    const half = size >> 1, angle = (-2 * Math.PI) / size;
    for (let k = 0; k < half; k++) {
      const c = Math.cos(angle * k), s = Math.sin(angle * k);
      for (let i = k; i < n; i += size) {
        const a = re[i + half] * c - im[i + half] * s, b = re[i + half] * s + im[i + half] * c;
        re[i + half] = re[i] - a; im[i + half] = im[i] - b;
        re[i] += a; im[i] += b;
      }
    }
  }
}

// Levels in dB below the loudest value: columns of size / 2 + 1 frequencies; windows of about 30 ms (Hann).
function levels(samples, rate, columns) {
  const size = 2 ** Math.round(Math.log2(0.03 * rate));
  const hann = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
  let loudest = 1e-12;
  const power = Array.from({ length: columns }, (_, column) => {
    const first = Math.round((column * samples.length) / columns - size / 2);
    const re = Float64Array.from({ length: size }, (_, i) => (samples[first + i] || 0) * hann[i]), im = new Float64Array(size);
    fourier(re, im);
    return Float64Array.from({ length: size / 2 + 1 }, (_, i) => { const p = re[i] * re[i] + im[i] * im[i]; if (p > loudest) loudest = p; return p; });
  });
  return power.map((column) => column.map((p) => 10 * Math.log10(p / loudest + 1e-12)));
}

const LOWEST_LEVEL = -70; // dB: this and less has the first colour
const toMel = (hertz) => 2595 * Math.log10(1 + hertz / 700), toHertz = (mel) => 700 * (10 ** (mel / 2595) - 1);

function drawSpectrogram(canvas, samples, rate) {
  const scale = Math.min(2, window.devicePixelRatio || 1);
  const width = (canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale))), height = (canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale)));
  const columns = levels(samples, rate, width), bins = columns[0].length - 1;
  const colours = blues().map(([at, hex]) => [at, [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16))]);
  const image = canvas.getContext("2d").createImageData(width, height);
  for (let y = 0; y < height; y++) {
    const bin = Math.round((toHertz(toMel(rate / 2) * (1 - (y + 0.5) / height)) / (rate / 2)) * bins);
    for (let x = 0; x < width; x++) {
      const at = Math.max(0, 1 - columns[x][bin] / LOWEST_LEVEL);
      const [low, high] = at < colours[1][0] ? [colours[0], colours[1]] : [colours[1], colours[2]];
      const part = (at - low[0]) / (high[0] - low[0]);
      low[1].forEach((value, c) => { image.data[4 * (y * width + x) + c] = value + part * (high[1][c] - value); });
      image.data[4 * (y * width + x) + 3] = 255;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
