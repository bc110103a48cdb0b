// The menu begins where one is: with the entry of this page in sight, once the menu itself is, at the latest when a phone opens it.
// Only the menu moves, at once, and whoever scrolls it afterwards is left alone. Not by scrollIntoView: in Chromium the next Tab
// would go on from there instead of from the top of the page.
window.addEventListener("load", () => {
    const menu = document.getElementById("nav-sidebar-apps");
    const entry = menu?.querySelector("[aria-current=page]");
    if (!entry) return;
    const room = 12;
    new ResizeObserver((_, seen) => {
        if (!menu.offsetHeight) return;
        seen.disconnect();
        const box = entry.closest(".simplebar-content-wrapper") ?? menu;
        const [here, frame] = [entry.getBoundingClientRect(), box.getBoundingClientRect()];
        if (here.bottom > frame.bottom) box.scrollTop += here.bottom - frame.bottom + room;
        else if (here.top < frame.top) box.scrollTop -= frame.top - here.top + room;
    }).observe(menu);
});
