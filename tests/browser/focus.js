// Where the focus is, and whether somebody sees it.
() => {
  const at = document.activeElement;
  if (at === document.body || at === null) return null;
  const box = at.getBoundingClientRect();
  const style = getComputedStyle(at);
  const skip = at.matches(".skip");
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  const behind = document.querySelector("header.top")?.getBoundingClientRect().bottom ?? 0;
  const covered = !at.closest("header.top, nav#views, dialog") && !skip && box.bottom <= behind;
  return {
    name: at.getAttribute("aria-label") ?? at.textContent.trim().slice(0, 40),
    // The parts of a date have a ring of the browser's own, inside it, which no style tells of.
    ring: at.type === "datetime-local" || style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    inside: inside && !covered,
    top: Math.round(box.top + scrollY),
    tabindex: at.tabIndex,
    html: at.outerHTML.slice(0, 100),
  };
}
