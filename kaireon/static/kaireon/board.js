// The board by keyboard: j and k go through its cards, x chooses one, a assigns those chosen. Enter opens, as on any link.
document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]), select, textarea")) return;
    const cards = [...document.querySelectorAll("[data-card]")];
    const here = cards.findIndex((card) => card.closest("li").contains(document.activeElement));
    if (event.key === "j" || event.key === "k") {
        const next = event.key === "j" ? here + 1 : here < 0 ? cards.length - 1 : here - 1;
        cards[Math.min(Math.max(next, 0), cards.length - 1)]?.focus();
    } else if (event.key === "x" && here >= 0) {
        cards[here].closest("li").querySelector("[type=checkbox]")?.click();
    } else if (event.key === "a") {
        document.querySelector("#board [type=submit]")?.click();
    }
});
