/** Tabs as the ARIA practices have them: one stop for Tab, arrows go on from there. */
import { find, html } from "./dom.js";

/** Makes tabs of a tablist, of which the first is chosen. */
export function makeTabs(id: string, chosen: (tab: HTMLElement) => void = () => undefined): void {
  const list = html(id);
  const tabs = [...list.querySelectorAll<HTMLElement>("[role=tab]")];
  const choose = (tab: HTMLElement): void => {
    for (const each of tabs) {
      each.setAttribute("aria-selected", String(each === tab));
      each.tabIndex = each === tab ? 0 : -1;
      panelOf(each).hidden = true;
    }
    panelOf(tab).hidden = false;
    panelOf(tab).setAttribute("aria-labelledby", tab.id);
    chosen(tab);
  };
  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: index + 1, ArrowLeft: index - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
      const next = to === undefined ? undefined : tabs[to % tabs.length];
      if (next) {
        event.preventDefault();
        choose(next);
        next.focus();
      }
    });
  }
  if (tabs[0]) {
    choose(tabs[0]);
  }
}

function panelOf(tab: HTMLElement): HTMLElement {
  return find(tab.getAttribute("aria-controls") ?? "", HTMLElement);
}
