#!/usr/bin/env python3
"""The page of `phkmalloc map -o heap.html` in a headless Chromium: what it shows, and that mouse
and keyboard do with it what it says.

TOOL is the command, HEAP a process on the library SO. SHOTS is a folder for pictures of what was
seen, for people to look at.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test"))
from tap import done, report  # noqa: E402  (not of this folder)

TOOL, HEAP, SO = os.environ["TOOL"], os.environ["HEAP"], os.environ["SO"]
SHOTS = os.environ.get("SHOTS")
FLAGS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
         "--disable-background-networking --disable-component-update --disable-sync "
         "--window-size=1440,900 --disable-dev-shm-usage --hide-scrollbars").split()
# What a cell looks like in the middle: told from what is drawn, not from what the page thinks.
PIXEL = """const c = document.getElementById("map"), r = window.devicePixelRatio || 1;
return [...c.getContext("2d").getImageData(arguments[0] * r, arguments[1] * r, 1, 1).data];"""
DEBIAN = "/usr/bin/python3"


class Page:
    def __init__(self, driver, path):
        self.driver = driver
        driver.get("file://" + path)
        self.view = self.find("view")

    def find(self, name):
        from selenium.webdriver.common.by import By
        return self.driver.find_element(By.ID, name)

    def run(self, script, *args):
        return self.driver.execute_script(script, *args)

    def value(self, expression):
        return self.run("return " + expression)

    def keys(self, *keys, to=None):
        (to or self.view).send_keys(*keys)

    def move(self, x, y):
        """The mouse to a place in the view."""
        from selenium.webdriver.common.action_chains import ActionChains
        size = self.view.size
        ActionChains(self.driver, duration=10).move_to_element_with_offset(
            self.view, int(x - size["width"] / 2), int(y - size["height"] / 2)).perform()

    def settle(self):
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));")

    def middle_of(self, cell):
        """Of a cell, in the view."""
        side, columns, top = self.value(
            "[levels[level].cell, levels[level].columns, view.scrollTop]")
        return (84 + (cell % columns + .5) * side, 12 + (cell // columns + .5) * side - top)

    def shot(self, name):
        if SHOTS:
            self.driver.save_screenshot(os.path.join(SHOTS, name + ".png"))


def test_content(page, stat):
    rows = page.value("[...document.querySelectorAll('#legend .row')].map(r => "
                      "[r.querySelector('.name').textContent, r.title])")
    said = {f"{c['size']:,}": f"{c['live']:,} chunks in use in {c['pages']:,} pages"
            for c in stat["classes"] if c["pages"] > 0}
    told = {name: title.rpartition(",")[0] for name, title in rows if name[0].isdigit()}
    report(told == said, "the legend has each size class as stat has it", f"{told} {said}")
    report(page.value("pageCount") == stat["heap"]["pages"],
           "all pages are drawn, none twice", page.value("pageCount"))
    used = page.value("hasBits ? [...Array(runCount).keys()].filter(r => kindOf(r) === CHUNKS)"
                      ".reduce((n, r) => n + [...Array(chunksOf(classOf(r))).keys()]"
                      ".filter(i => inUse(r, i)).length, 0) : -1")
    report(used == stat["chunks"]["live"], "each chunk is there, in use or free", used)
    report(page.value("document.title") == "Heap of heap" and
           str(stat["pid"]) in page.find("sub").text, "it says whose heap it is")
    height = page.value("[document.documentElement.scrollHeight, innerHeight]")
    report(height[0] <= height[1] + 1, "it fills the window and no more", height)
    loaded = page.value("performance.getEntriesByType('resource').length")
    report(loaded == 0, "it loads nothing", loaded)


def test_mouse(page):
    large = page.value("firstPage[[...Array(runCount).keys()].find(r => kindOf(r) === LARGE)]")
    page.move(*page.middle_of(large))
    text = page.find("tip").text
    report(text.startswith("large allocation") and "asked for" in text and "0x" in text,
           "a large allocation tells its size", text)
    x, y = page.middle_of(large)
    page.settle()
    pixel = "#%02x%02x%02x" % tuple(page.run(PIXEL, x, y)[:3])
    report(pixel == page.value("heap.kinds[0][LARGE]"), "and is drawn in its colour", pixel)
    before = page.value("levels[level].cell")
    page.find("in").click()
    page.find("in").click()
    report(page.value("levels[level].cell") > before * 1.3, "+ makes cells larger")
    page.run("view.dispatchEvent(new WheelEvent('wheel', "
             "{ deltaY: 100, ctrlKey: true, clientX: 400, clientY: 400, cancelable: true }))")
    smaller = page.value("level")
    page.find("fit").click()
    report(smaller == 1 and page.value("level") == 0, "the wheel and Fit bring it back",
           smaller)
    hidden = page.value("[...document.querySelectorAll('#kinds .row')].filter(r => "
                        "r.getBoundingClientRect().bottom > innerHeight).length")
    report(page.value("document.querySelectorAll('#kinds .row').length") >= 2 and hidden == 0 and
           page.value("byId('classes').classList.contains('more') == "
                      "(byId('classes').scrollHeight > byId('classes').clientHeight + 4)"),
           "the legend always shows large and free, and fades where it goes on", hidden)
    row = page.run("const r = [...document.querySelectorAll('#legend .row')].find(r => "
                   "r.querySelector('.name').textContent === '64'); r.click(); return r")
    page.settle()
    others = page.run(PIXEL, *page.middle_of(large))[:3]
    report(row.get_attribute("aria-pressed") == "true" and
           "#%02x%02x%02x" % tuple(others) != page.value("heap.kinds[0][LARGE]"),
           "a click on a size fades the others", others)
    page.shot("one-size")
    row.click()


def test_keyboard(page, keys):
    page.keys(keys.ARROW_RIGHT, keys.ARROW_RIGHT, keys.ARROW_DOWN)
    report(page.value("hovered") == 1 + page.value("columnsAt(level)") and
           page.find("tip").is_displayed(), "arrows move the mark, which tells",
           page.value("hovered"))
    page.keys(keys.ENTER)
    page.keys("+")
    report(page.value("level") == 2, "Enter and + zoom in", page.value("level"))
    page.keys(keys.ESCAPE)
    report(page.value("hovered") == -1 and not page.find("tip").is_displayed(), "Escape clears it")
    page.keys("0")
    report(page.value("level") == 0, "0 shows the whole heap")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.value(paper)
    page.keys("d")
    darker = page.value(paper)
    page.settle()
    page.shot("dark")
    page.keys("d")
    report(light == page.value(paper) != darker, "d turns it dark and light", f"{light} {darker}")


def test_find(page, keys):
    """A chunk in use, from its address: what is told of it has to be true."""
    r = page.value("[...Array(runCount).keys()].find(r => kindOf(r) === CHUNKS && "
                   "sizeOf(classOf(r)) === 512 && liveOf(r) > 3)")
    i, size, start = page.value(
        f"[[...Array(128).keys()].find(i => i > 2 && inUse({r}, i)), 512, "
        f"addressOf(firstPage[{r}]).toString(16)]")
    address = int(start, 16) + i * size + 5
    page.keys(hex(address), keys.ENTER, to=page.find("find"))
    text = page.find("tip").text
    report(text.startswith("chunk of 512 bytes, in use") and hex(address - 5) in text,
           "an address is found, down to its chunk", text)
    page.settle()
    x, y = page.middle_of(page.value("hovered"))
    side = page.value("levels[level].cell")
    page.shot("chunks")
    page.move(x - side / 2 + side / 22 * (i % 12 * 2 + 1), y)
    told = page.find("tip").text
    report(re.match(r"chunk of 512 bytes, (in use|free)\nnumber \d+ of 128, of which", told),
           "the mouse tells of single chunks", told)
    field = page.find("find")
    field.clear()
    page.keys("0x10", keys.ENTER, to=field)
    report("wrong" in field.get_attribute("class"), "an address from elsewhere is said to be")
    field.clear()
    page.find("fit").click()


def test_window(page):
    page.driver.set_window_size(500, 800)
    page.settle()
    wide = page.value("[document.documentElement.scrollWidth, innerWidth]")
    report(wide[0] <= wide[1] + 1, "it fits a narrow window", wide)
    page.shot("narrow")
    page.driver.set_window_size(1440, 900)
    page.settle()


def test_huge(driver, folder):
    """Heaps of gigabytes: pages of a few megabytes that are quick."""
    for mib, coarse in ((6 << 10, False), (40 << 10, True)):
        p = start("huge", mib)
        path = os.path.join(folder, "huge.html")
        subprocess.run([TOOL, "map", "-o", path, str(p.pid)], check=True)
        said = json.loads(subprocess.run([TOOL, "stat", "--json", str(p.pid)], check=True,
                                         capture_output=True).stdout)
        stop(p)
        page = Page(driver, path)
        size = os.path.getsize(path)
        gib = said["heap"]["pages"] * said["heap"]["page_bytes"] / (1 << 30)
        report(size < 6 << 20, f"a heap of {gib:.0f} GiB is a page of some megabytes", size)
        taken = page.value("(() => { const t = performance.now(); draw(); "
                           "return performance.now() - t })()")
        print(f"# {size} bytes, drawn in {taken:.0f} ms")
        report(page.value("levels[0].group") > 1 and
               page.value("levels[levels.length - 1].group") == 1 and
               (page.value("heap.unit") > 1) == coarse,
               "cells share pages until one zooms in", page.value("[levels[0].group, heap.unit]"))
        report(page.value("pageCount") == said["heap"]["pages"] and
               page.value("heap.sums[classCount + FREE]")[:2] ==
               [said["free"]["pages"], said["free"]["runs"]], "sums are exact all the same",
               page.value("pageCount"))
        page.move(400, 300)
        report("of the heap" in page.find("tip").text,
               "a shared cell tells what it is made of", page.find("tip").text)
        page.shot(f"huge-{gib:.0f}")


def start(*args):
    p = subprocess.Popen([HEAP, *map(str, args)], env=dict(os.environ, LD_PRELOAD=SO),
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdout.readline()
    return p


def stop(p):
    p.kill()
    p.wait()


def test_page(driver, folder):
    from selenium.webdriver.common.keys import Keys
    p = start("quiet", 30)
    path = os.path.join(folder, "heap.html")
    subprocess.run([TOOL, "map", "-o", path, str(p.pid)], check=True)
    stat = json.loads(subprocess.run([TOOL, "stat", "--json", str(p.pid)], check=True,
                                     capture_output=True).stdout)
    stop(p)
    page = Page(driver, path)
    page.shot("light")
    test_content(page, stat)
    test_mouse(page)
    test_keyboard(page, Keys)
    test_find(page, Keys)
    test_window(page)
    test_huge(driver, folder)
    errors = [x for x in driver.get_log("browser") if x["level"] == "SEVERE"]
    report(not errors, "no errors in the console", errors)


def main():
    missing = [x for x in ("chromium", "chromedriver") if shutil.which(x) is None]
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        if sys.prefix != "/usr" and os.access(DEBIAN, os.X_OK):  # packages are for that one
            os.execv(DEBIAN, [DEBIAN, os.path.abspath(__file__)])
        missing.append("python3-selenium")
    if missing:
        print(f"1..0 # {' '.join(missing)} not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in FLAGS:
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={folder}/profile")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
        try:
            test_page(driver, folder)
        finally:
            driver.quit()
    return done()


if __name__ == "__main__":
    sys.exit(main())
