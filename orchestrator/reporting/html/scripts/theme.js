// Colours of the theme, and the width of the screen.

const css = (name) => getComputedStyle(ROOT).getPropertyValue(name).trim();
const narrow = () => window.innerWidth < 640;
const isDark = () => ROOT.dataset.theme === "dark" || (ROOT.dataset.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
const blues = () => (isDark() ? [[0, "#1b1e24"], [0.5, "#1f5f8b"], [1, "#8fd0f5"]] : [[0, "#f5f9fd"], [0.5, "#6fb1d8"], [1, "#00456f"]]);
