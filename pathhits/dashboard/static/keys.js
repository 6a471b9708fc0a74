// Keyboard shortcuts: an element with data-key is clicked, a field with it is entered. "?" shows them all.

const OFF = "pathhits.keys.off";

function isTyping(target) {
  return target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) && !/^(radio|checkbox)$/.test(target.type);
}

function press(element) {
  if (element.matches("input")) {
    element.focus();
    element.select();
  } else {
    element.click();
    if (element.matches("summary")) element.focus();
  }
}

function stored(action) {
  try {
    return action(localStorage);
  } catch {
    return null; // a browser that keeps nothing
  }
}

export function listenToKeys() {
  const dialog = document.getElementById("keys");
  const box = dialog?.querySelector("input[type=checkbox]");
  if (box) {
    box.checked = !stored((store) => store.getItem(OFF));
    box.addEventListener("change", () => stored((store) => (box.checked ? store.removeItem(OFF) : store.setItem(OFF, "1"))));
  }
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
    if (event.key === "?" && dialog) {
      dialog.open ? dialog.close() : dialog.showModal();
      return;
    }
    if (dialog?.open || stored((store) => store.getItem(OFF))) return;
    const element = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key);
    if (element) {
      event.preventDefault();
      press(element);
    }
  });
}
