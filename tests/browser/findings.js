// What a program can find wrong with the page as it is. Returns a sentence for each.
(least) => {
  const found = [];
  const visible = (each) => each.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && each.getClientRects().length > 0;
  const shown = (each) => `<${each.localName} class="${each.getAttribute("class") ?? ""}"> ${each.textContent.trim().slice(0, 60)}`;
  const text = (id) => document.getElementById(id)?.textContent.trim() ?? "";
  const nameOf = (each) => {
    const by = (each.getAttribute("aria-labelledby") ?? "").split(" ").filter(Boolean).map(text).join(" ");
    const labels = [...(each.labels ?? [])].map((label) => label.textContent.trim()).join(" ");
    return by || each.getAttribute("aria-label")?.trim() || labels || (/^(INPUT|SELECT|TEXTAREA)$/.test(each.tagName) ? "" : each.textContent.trim());
  };

  // Every control, dialog, plot and progress bar has a name.
  const controls = "a[href], button, input, select, textarea, dialog, progress, summary, [role=slider], [role=region], [role=dialog], nav";
  for (const each of document.querySelectorAll(controls)) {
    if (visible(each) && !nameOf(each)) found.push(`no name: ${shown(each)} ${each.outerHTML.slice(0, 120)}`);
  }

  // Ids are there once, and what refers to one finds it.
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  for (const id of new Set(ids)) if (ids.filter((each) => each === id).length > 1) found.push(`id twice: ${id}`);
  for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls", "for", "list"]) {
    for (const each of document.querySelectorAll(`[${attribute}]`)) {
      for (const id of each.getAttribute(attribute).split(" ").filter(Boolean)) if (!ids.includes(id)) found.push(`${attribute}: no ${id}: ${shown(each)}`);
    }
  }

  // Landmarks: one main, one banner, navigation with a name; one first heading, none left out on the way down.
  if ([...document.querySelectorAll("main")].filter(visible).length !== 1) found.push("not one main");
  if (document.querySelector("nav#views") && document.querySelectorAll("header.top").length !== 1) found.push("not one banner");
  const headings = [...document.querySelectorAll("main h1, main h2, main h3, main h4")].filter(visible).map((each) => Number(each.localName[1]));
  if (headings.filter((level) => level === 1).length !== 1) found.push(`first headings: ${headings}`);
  headings.reduce((before, level) => {
    if (level > before + 1) found.push(`a heading of level ${level} follows one of level ${before}`);
    return level;
  }, 1);
  if (!document.documentElement.lang) found.push("no language");
  if (!document.title) found.push("no title");

  // Tables have headers with a scope, and a caption.
  for (const each of document.querySelectorAll("table")) {
    if (!each.caption?.textContent.trim()) found.push(`no caption: ${shown(each)}`);
    for (const head of each.querySelectorAll("th")) if (!head.scope) found.push(`no scope: ${shown(head)}`);
  }

  // Contrast of every text with what lies behind it.
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (front, back) => [0, 1, 2].map((part) => front[part] * front[3] + back[part] * (1 - front[3]));
  const groundOf = (each) => {
    if (!each) return [255, 255, 255];
    const ground = rgba(getComputedStyle(each).backgroundColor);
    return ground[3] === 1 ? ground.slice(0, 3) : over(ground, groundOf(each.parentElement));
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let checked = 0;
  while (texts.nextNode()) {
    const each = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !visible(each) || each.closest(".unseen, :disabled, option, .skip")) continue;
    const style = getComputedStyle(each);
    const ground = groundOf(each);
    const ink = over(rgba(each instanceof SVGElement ? style.fill : style.color), ground);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= least.largePx || (size >= least.largeBoldPx && Number(style.fontWeight) >= 700);
    const ratio = contrast(ink, ground);
    checked += 1;
    if (ratio < (isLarge ? least.large : least.text) - 0.005) found.push(`contrast ${ratio.toFixed(2)}: ${shown(each)}`);
  }
  if (checked < 3) found.push(`only ${checked} texts were looked at`);

  // What is pressed is large enough; links within a sentence need not be.
  for (const each of document.querySelectorAll("button, input, select, textarea, nav a")) {
    if (!visible(each) || each.matches(".link, .crumbs a") || each.type === "checkbox") continue;
    const box = each.getBoundingClientRect();
    if (box.width < least.targetPx || box.height < least.targetPx) found.push(`small: ${box.width} by ${box.height} ${shown(each)}`);
  }
  return found;
}
