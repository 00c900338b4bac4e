// Round numbers for the axes of a plot. Pure.

/** Up to `wanted` steps from 0 to at least `largest`, of 1, 2 or 5 times a power of ten. */
export function steps(largest, wanted = 4) {
  if (!(largest > 0)) return [0, 1];
  const rough = largest / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
  const found = [];
  for (let index = 0; index <= Math.ceil(largest / step - 1e-9); index += 1) found.push(index * step);
  return found;
}

const TIMES = [5, 10, 15, 30, 60, 120, 300, 600].map((seconds) => seconds * 1000);

/** Round instants between two, at most `wanted` of them. */
export function instants(from, to, wanted) {
  const step = TIMES.find((each) => (to - from) / each <= wanted) ?? TIMES.at(-1);
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(at);
  return found;
}
