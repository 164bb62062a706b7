// Pictures on canvases: no address is made for them, and pixels stay pixels.

/** Turn the data address of a PNG into what a canvas can draw. */
export async function bitmapOf(address) {
  const text = atob(address.slice(address.indexOf(",") + 1));
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/png" }));
}

/** Draw an image, and over it a layer at an opacity of 0 to 1. Small images stay sharp, layers are smooth. */
export function draw(canvas, image, layer = null, opacity = 1) {
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = image.width > canvas.width;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  if (layer === null) return;
  pen.imageSmoothingEnabled = true;
  pen.globalAlpha = opacity;
  pen.drawImage(layer, 0, 0, canvas.width, canvas.height);
  pen.globalAlpha = 1;
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
