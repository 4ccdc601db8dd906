/** Tabs that follow the ARIA practices: the Tab key focuses one tab, and the arrow keys select others. */
import { find, html } from "./dom.js";

/** Initializes a tab list and selects its first tab. */
export function initTabs(id: string, onSelect: (tab: HTMLElement) => void = () => undefined): void {
  const list = html(id);
  const tabs = [...list.querySelectorAll<HTMLElement>("[role=tab]")];
  const selectTab = (tab: HTMLElement): void => {
    for (const each of tabs) {
      each.setAttribute("aria-selected", String(each === tab));
      each.tabIndex = each === tab ? 0 : -1;
      panelOf(each).hidden = true;
    }
    panelOf(tab).hidden = false;
    panelOf(tab).setAttribute("aria-labelledby", tab.id);
    onSelect(tab);
  };
  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener("click", () => selectTab(tab));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: index + 1, ArrowLeft: index - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
      const next = to === undefined ? undefined : tabs[to % tabs.length];
      if (next) {
        event.preventDefault();
        selectTab(next);
        next.focus();
      }
    });
  }
  if (tabs[0]) {
    selectTab(tabs[0]);
  }
}

function panelOf(tab: HTMLElement): HTMLElement {
  return find(tab.getAttribute("aria-controls") ?? "", HTMLElement);
}
