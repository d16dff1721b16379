"""What is wrong with a page as a browser shows it, found by measuring in the page."""

from selenium import webdriver

_MEASURE = r"""
const found = [];
const page = document.documentElement;
const shown = element => element.checkVisibility({ checkVisibilityCSS: true }) && !element.closest(".unseen");
const name = ({ localName, id, className }) => localName + (id && "#" + id) + (className && "." + className);

if (page.scrollWidth > page.clientWidth) found.push(`the page is ${page.scrollWidth} wide in ${page.clientWidth}`);
for (const element of document.body.querySelectorAll("*")) {
  if (!shown(element)) continue;
  const box = element.getBoundingClientRect();
  if (box.right > page.clientWidth + 0.5 || box.left < -0.5) found.push(`${name(element)} leaves the page`);
  if (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== "inline")
    found.push(`${name(element)} is cut: ${element.scrollWidth} in ${element.clientWidth}`);
}

function luminance([r, g, b]) {
  const linear = [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}
const channels = color => color.match(/[\d.]+/g).map(Number);
function background(element) {
  for (; element; element = element.parentElement) {
    const color = channels(getComputedStyle(element).backgroundColor);
    if (color.length === 3 || color[3] === 1) return color;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
}
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const text = texts.currentNode, element = text.parentElement;
  if (!text.data.trim() || !shown(element) || ["SCRIPT", "NOSCRIPT"].includes(element.tagName)) continue;
  const style = getComputedStyle(element);
  const [light, dark] = [channels(style.color), background(element)].map(luminance).sort((a, b) => b - a);
  const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < (large ? 3 : 4.5)) found.push(`${name(element)}: contrast ${ratio.toFixed(2)}: ${text.data.trim()}`);
  for (const word of text.data.matchAll(/[^\s\/–-]+/g)) {
    if (word[0].length > 24) continue;
    const range = document.createRange();
    range.setStart(text, word.index);
    range.setEnd(text, word.index + word[0].length);
    const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top / 4)));
    if (lines.size > 1) found.push(`${name(element)} breaks the word ${word[0]}`);
  }
}
return [...new Set(found)];
"""


def faults(browser: webdriver.Chrome) -> list[str]:
    """What is wrong with the page that is shown: what leaves it or is cut, words that are broken, and text without
    contrast."""
    found: list[str] = browser.execute_script(_MEASURE)
    return found


def open_all(browser: webdriver.Chrome) -> None:
    """Open whatever is folded."""
    browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
