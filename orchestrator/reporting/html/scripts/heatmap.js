// A heat map of percentages.

function heat(z, text, hover, more = {}) {
  return { type: "heatmap", z, text, texttemplate: text ? "%{text}" : undefined, textfont: { size: 12 }, hovertemplate: hover + "<extra></extra>", colorscale: blues(), zmin: 0, zmax: 100, showscale: false, xgap: 1, ygap: 1, hoverongaps: false, ...more };
}
