// Buttons with data-copy put their text on the clipboard, and say so for a moment.
document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const icon = button.querySelector(".material-symbols-outlined");
    try {
        await navigator.clipboard.writeText(button.dataset.copy);
        icon.textContent = "check";
        button.dataset.copied = "yes";
    } catch {
        icon.textContent = "error";
        button.dataset.copied = "no";
    }
    setTimeout(() => { icon.textContent = "content_copy"; delete button.dataset.copied; }, 2000);
});
