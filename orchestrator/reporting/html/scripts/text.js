// Text. Plotly interprets some HTML in labels, so names are escaped for it; everything else uses textContent.

const safe = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const short = (text, length = 24) => (String(text).length > length ? String(text).slice(0, length - 1) + "…" : String(text));
const percent = (value) => (value === null || value === undefined ? "-" : (100 * value).toFixed(1));
const hundred = (value) => (value === null || value === undefined ? null : 100 * value);
const settingText = (value) => (value === undefined ? "-" : typeof value === "object" ? JSON.stringify(value) : String(value));
