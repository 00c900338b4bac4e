// Light or dark: as the system says, until somebody chooses.

const KEY = "ringonce.theme";
export const THEMES = ["auto", "light", "dark"];

function stored() {
  try {
    const value = localStorage.getItem(KEY);
    return THEMES.includes(value) ? value : "auto";
  } catch {
    return "auto"; // storage may be forbidden
  }
}

export function theme() {
  return document.documentElement.dataset.theme ?? "auto";
}

export function applyTheme(name = stored()) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
}

/** Goes on to the next of the three, and returns it. */
export function nextTheme() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // it holds for this page then
  }
  applyTheme(next);
  return next;
}
