// Pictures on canvases: no address is made for them, and pixels stay pixels.

/** Turn the data address of a PNG into what a canvas can draw. */
export async function bitmapOf(address) {
  const text = atob(address.slice(address.indexOf(",") + 1));
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/png" }));
}

// Matplotlib's magma, at eighths; pages.css has the same.
const MAGMA = [[0, 0, 4], [29, 17, 71], [81, 18, 124], [131, 38, 129], [183, 55, 121], [231, 82, 99], [252, 137, 97], [254, 196, 136], [252, 253, 191]];

/** Draw an image on black. Small images stay sharp. */
export function draw(canvas, image) {
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = image.width > canvas.width;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
}

/** Draw an image in grey, and over it a grey map in magma: the higher, the less of the image shows through. At an opacity
 * of 0 there is the image alone, in its own colours, at 1 the map alone. */
export function drawOver(canvas, image, map, opacity) {
  draw(canvas, image);
  if (opacity === 0) return;
  const { width, height } = canvas;
  const smooth = document.createElement("canvas");
  Object.assign(smooth, { width, height });
  const brush = smooth.getContext("2d", { willReadFrequently: true });
  brush.imageSmoothingQuality = "high";
  brush.drawImage(map, 0, 0, width, height);
  const values = brush.getImageData(0, 0, width, height).data;
  const pen = canvas.getContext("2d");
  const whole = pen.getImageData(0, 0, width, height);
  const { data } = whole;
  for (let i = 0; i < data.length; i += 4) {
    const value = values[i] / 255;
    const grey = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
    const alpha = opacity * (value + (1 - value) * opacity ** 8);
    const step = Math.min(7, Math.floor(8 * value));
    for (let c = 0; c < 3; c++) {
      const colour = MAGMA[step][c] + (8 * value - step) * (MAGMA[step + 1][c] - MAGMA[step][c]);
      data[i + c] = grey + alpha * (colour - grey);
    }
  }
  pen.putImageData(whole, 0, 0);
}

/** Make a canvas of a size with an image on it, said as `alt`. */
export function canvasOf(image, side, alt) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", alt);
  draw(canvas, image);
  return canvas;
}
