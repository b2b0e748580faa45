#!/usr/bin/env python3
"""The status page in a real browser: what a person sees on a desk and on a phone, by day and by night.

Screenshots are left in HEAPSYNC_SCREENSHOTS, or else in a folder that is deleted.
"""

import base64
import json
import os
import re
import shutil
import signal
import threading
import unittest
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import harness
import raw_calls
from harness import APP_EU, APP_US, Binaries, FakeHeap, Program, Server, temporary_folder, wait_until

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    harness.skip("no selenium; scripts/install_dependencies.sh --test installs it")

DESK = (1280, 900)
PHONE = (390, 844)
HOSTILE = "<img src=x onerror=document.title='owned'>"


class Browser:
    """A headless Chromium with a profile of its own."""

    def __init__(self, folder: Path, *flags: str) -> None:
        options = webdriver.ChromeOptions()
        for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
                     f"--user-data-dir={folder / 'profile'}", *flags):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver", log_path=os.devnull), options=options)

    def become(self, size: tuple[int, int], scheme: str) -> None:
        """A screen of this size whose owner likes it light or dark."""
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": size[1], "deviceScaleFactor": 2 if size == PHONE else 1, "mobile": size == PHONE})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def text(self) -> str:
        return str(self.driver.find_element(By.TAG_NAME, "body").text)

    def row(self, name: str) -> str:
        """What the row of a destination shows, with its details if they are open; empty while there is none."""
        return str(self.driver.execute_script(
            "const row = [...document.querySelectorAll('#rows > .row')].find(row => row.querySelector('.name').textContent === arguments[0]);"
            "const after = row && row.nextElementSibling;"
            "return !row ? '' : row.innerText + (after && after.matches('.details') ? '\\n' + after.innerText : '')", name))

    def names(self) -> list[str]:
        """The destinations that are listed, in their order."""
        return list(self.ask("[...document.querySelectorAll('#rows .name')].map(name => name.textContent)"))

    def press(self, *keys: str) -> None:
        """Keys for whatever has the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> str:
        """Says what has the focus: its id, its value or its text."""
        return str(self.ask("(e => e.id || e.value || e.textContent)(document.activeElement)"))

    def ask(self, script: str) -> Any:
        return self.driver.execute_script(f"return {script}")

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def screenshot(self, path: Path) -> None:
        """The whole page, also what lies below the fold."""
        height = self.ask("document.documentElement.scrollHeight")
        width = self.ask("document.documentElement.clientWidth")
        picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", {
            "captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}})
        path.write_bytes(base64.b64decode(picture["data"]))


def screenshot_folder(folder: Path) -> Path:
    screenshots = Path(os.environ.get("HEAPSYNC_SCREENSHOTS", folder / "screenshots"))
    screenshots.mkdir(parents=True, exist_ok=True)
    return screenshots


class StatusPageTest(unittest.TestCase):
    folder: Path
    heap: FakeHeap
    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
            harness.skip("no chromium; scripts/install_dependencies.sh --test installs it")
        cls.folder = temporary_folder(cls)
        cls.screenshots = screenshot_folder(cls.folder)
        cls.heap = FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)
        config = cls.folder / "heapsync.json"
        config.write_text(json.dumps({"destinations": [
            {"name": "shop", "app_id": APP_US, "region": "us"},
            {"name": "crm-sync", "app_id": "3333333333", "region": "us", "limits": {"events_per_minute": 400}},
            {"name": "europe", "app_id": APP_EU, "region": "eu"},
            {"name": "staging", "app_id": "4444444444", "region": "us"},
            {"name": "mobile-apps", "app_id": "5555555555", "region": "us"}]}))
        cls.server = Server(cls.folder, cls.heap, f"--config={config}")
        cls.addClassCleanup(cls.server.kill)
        cls.heap.set_faults(
            {"match": {"body_contains": "poisoned"}, "action": {"type": "poison", "body": HOSTILE}},
            {"match": {"app_id": APP_EU}, "action": {"type": "status", "status": 403}},
            {"match": {"app_id": "5555555555"}, "action": {"type": "status", "status": 503}})
        cls.act("pause", "staging")
        with grpc.insecure_channel(cls.server.address) as channel:
            for number in range(900):
                raw_calls.call(channel, "TrackEvent", raw_calls.event(f"person-{number}"), "crm-sync")
            for number in range(120):
                raw_calls.call(channel, "TrackEvent", raw_calls.event(f"person-{number}"), "shop")
                raw_calls.call(channel, "UserProperties", raw_calls.user(f"person-{number}", "plan", "free"), "shop")
            for destination, count in (("europe", 42), ("staging", 7), ("mobile-apps", 15)):
                for number in range(count):
                    raw_calls.call(channel, "TrackEvent", raw_calls.event(f"person-{number}"), destination)
            raw_calls.call(channel, "TrackEvent", raw_calls.event("poisoned"), "shop")
        cls.window = Browser(cls.folder)
        cls.addClassCleanup(cls.window.driver.quit)
        cls.over = threading.Event()
        traffic = threading.Thread(target=cls.send_until_over)
        traffic.start()
        cls.addClassCleanup(traffic.join)
        cls.addClassCleanup(cls.over.set)

    @classmethod
    def send_until_over(cls) -> None:
        """Some twenty events a second, so that there is a flow to see."""
        with grpc.insecure_channel(cls.server.address) as channel:
            for number in range(2_000):
                if cls.over.wait(0.05):
                    return
                raw_calls.call(channel, "TrackEvent", raw_calls.event(f"visitor-{number}"), "shop")

    @classmethod
    def act(cls, command: str, destination: str) -> None:
        job = Program(command, [Binaries.cli, command, f"--server={cls.server.address}", destination], cls.folder)
        code = job.wait()
        assert code == 0, job.output()

    def browser(self, size: tuple[int, int], scheme: str) -> Browser:
        browser = self.window
        browser.become(size, scheme)
        browser.driver.get(self.server.http_url + "/")
        wait_until(lambda: "Live" in browser.text(), "the page to be live")
        return browser

    def wait_for_row(self, browser: Browser, name: str, *patterns: str) -> None:
        for pattern in patterns:
            wait_until(lambda pattern=pattern: re.search(pattern, browser.row(name)), f"{name} to show {pattern!r}; {browser.row(name)}")

    def test_a_person_at_a_desk_sees_how_each_destination_is_and_why(self) -> None:
        browser = self.browser(DESK, "light")
        self.wait_for_row(browser, "shop", "Active", r"US · App ID …\d{4}", r"[\d.]+/s", r"1$")
        self.wait_for_row(browser, "crm-sync", r"100 % of 400", "limit is used up", r"500 items", "gone in")
        self.wait_for_row(browser, "europe", "Needs attention", "Check the App ID, the region", "42 items", "held")
        self.wait_for_row(browser, "staging", "Paused", "ResumeDestination", "7 items")
        self.wait_for_row(browser, "mobile-apps", "Backing off", "15 items")
        self.assertIn("1 needs attention, 1 backing off, 1 paused.", browser.text())
        self.assertEqual(browser.driver.title, "(!) Heap Sync")
        self.assertEqual(browser.names()[:3], ["europe", "mobile-apps", "staging"], "what needs a person comes first")
        wait_until(lambda: re.search(r"Dead letters\s*1 item is kept.*Refused", browser.text(), re.DOTALL), "the dead letter with its reason")
        browser.driver.find_element(By.XPATH, "//button[text()='europe']").click()
        self.wait_for_row(browser, "europe", "Last error\\s*HTTP 403", r"Events\s+42\s+0\s+0\s+42")
        wait_until(lambda: "start, " in browser.row("europe"), "the charts of the destination")
        browser.screenshot(self.screenshots / "status-desk-light.png")
        browser.driver.find_element(By.XPATH, "//button[text()='europe']").click()
        self.assertNotIn("HTTP 403", browser.row("europe"))
        self.assertEqual(browser.complaints(), [])

    def test_charts_show_the_flow_since_the_start_and_say_it_in_words(self) -> None:
        browser = self.browser(DESK, "light")
        label = "document.querySelector('#charts svg').getAttribute('aria-label')"
        wait_until(lambda: "at most" in browser.ask(label), "the first point of the history")
        self.assertRegex(browser.ask(label), r"^In and out, all destinations, over the last .*: in now [\d.,]+/s, at most [\d.,]+/s at .*; out now .*/s")
        self.assertIn("The charts begin with the start of this server", browser.text())
        self.assertTrue(browser.ask("document.querySelector('#charts .line.in').getAttribute('d').startsWith('M')"))
        browser.driver.find_element(By.CSS_SELECTOR, "#values summary").click()
        wait_until(lambda: re.search(r"\d\d:\d\d:\d\d.*/s [\d.]+/s \d+ 100 %", browser.text()), "the table of values")
        browser.driver.find_element(By.CSS_SELECTOR, "#values summary").click()
        # One point by keyboard, as a screen reader would tell it.
        browser.ask("document.querySelector('#charts svg').focus()")
        browser.press(Keys.END)
        self.assertRegex(browser.ask("document.querySelector('#charts output').textContent"), r"\d\d:\d\d:\d\d.* · [\d.]+/s in · [\d.]+/s out")
        browser.driver.find_element(By.XPATH, "//span[text()='6 h']").click()
        wait_until(lambda: "range=hours" in browser.driver.current_url and browser.ask("axis.step") == 240, "the long range")
        self.assertRegex(browser.ask(label), "at most")

    def test_everything_works_by_keyboard_and_focus_stays_where_it_is(self) -> None:
        browser = self.browser(DESK, "light")
        self.wait_for_row(browser, "europe", "Needs attention")
        browser.press(Keys.TAB)
        self.assertEqual(browser.focused(), "Skip to the destinations")
        browser.press(Keys.ENTER)
        self.assertEqual(browser.focused(), "list")
        browser.press(Keys.TAB)
        self.assertEqual(browser.focused(), "search")
        browser.press("s", "h", "o")
        wait_until(lambda: browser.names() == ["shop"], "the search to be answered")
        self.assertIn("1 of 5", browser.text())
        self.assertEqual(browser.focused(), "search")
        browser.press(Keys.BACKSPACE * 3, "no such")
        wait_until(lambda: "No destination matches." in browser.text(), "nothing to be found")
        browser.press(Keys.BACKSPACE * 7)
        wait_until(lambda: len(browser.names()) == 5, "all destinations")
        browser.press(Keys.TAB, Keys.ARROW_RIGHT)  # the states
        wait_until(lambda: browser.names() == ["europe"], "one state only")
        self.assertEqual(browser.focused(), "needs_attention")
        browser.press(Keys.ARROW_LEFT)
        wait_until(lambda: len(browser.names()) == 5, "all destinations")
        browser.press(Keys.TAB)  # the first heading
        self.assertEqual(browser.focused(), "Destination")
        browser.press(Keys.ENTER)
        wait_until(lambda: browser.names() == sorted(browser.names()) and len(browser.names()) == 5, "an order by name")
        self.assertEqual(browser.ask("document.querySelector('[aria-sort]').textContent"), "Destination")
        self.assertEqual(browser.ask("document.querySelector('[aria-sort]').getAttribute('aria-sort')"), "ascending")
        browser.driver.find_element(By.XPATH, "//button[text()='shop']").send_keys(Keys.ENTER)
        self.wait_for_row(browser, "shop", "By type")
        browser.press(Keys.HOME)
        # The row moves and is filled again; it keeps the focus.
        browser.ask("choose({reversed: true})")
        wait_until(lambda: browser.names() == sorted(browser.names(), reverse=True), "the opposite order")
        seen = browser.row("shop")
        wait_until(lambda: browser.row("shop") != seen, "newer numbers")
        self.assertEqual(browser.focused(), "shop")
        self.assertEqual(browser.ask("document.activeElement.getAttribute('aria-expanded')"), "true")
        browser.press(Keys.ENTER)
        self.assertEqual(browser.ask("document.activeElement.getAttribute('aria-expanded')"), "false")

    def test_a_screen_reader_finds_names_and_headings(self) -> None:
        browser = self.browser(DESK, "light")
        self.wait_for_row(browser, "europe", "Needs attention")
        for size in (DESK, PHONE):
            browser.become(size, "light")
            tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
            nodes = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
            for role in ("button", "link", "searchbox", "radio", "img", "table", "combobox", "region"):
                self.assertNotIn((role, ""), nodes, size)
            self.assertIn(("table", "Destinations"), nodes)
            self.assertIn(("searchbox", "Search by name, region or end of the App ID"), nodes)
            self.assertIn(("rowheader", "europe"), [(role, name.split(" ")[0]) for role, name in nodes])
            headings = [name for role, name in nodes if role == "heading"]
            self.assertEqual(headings, ["Heap Sync", "All destinations", "Dead letters", "Destinations"])
        # Of what changes all the time nothing is announced.
        live = browser.ask("[...document.querySelectorAll('[aria-live], [role=status], [role=alert]')].map(e => e.id)")
        self.assertEqual(live, ["freshness", "silence", "spool", "owner", "verdict", "matching"])

    def test_a_page_that_nobody_looks_at_asks_seldom_or_not_at_all(self) -> None:
        browser = self.browser(DESK, "light")
        browser.driver.execute_script(
            "window.scheduled = []; const real = window.setTimeout;"
            "window.setTimeout = (task, time) => { if (task === poll) window.scheduled.push(time); return real(task, time); }")
        turn = "document.dispatchEvent(new Event('visibilitychange'));"
        # Its answer is waited for: another question would be scheduled by then.
        hidden = "Object.defineProperty(document, 'hidden', {value: true, configurable: true}); window.scheduled = [];"
        self.assertEqual(browser.driver.execute_script(hidden + turn + "return poll().then(() => window.scheduled)"), [])
        browser.driver.execute_script("delete document.hidden;" + turn)
        wait_until(lambda: 2_000 in browser.ask("window.scheduled"), "the page to ask again")
        browser.driver.execute_script("touchedAt = 0")
        wait_until(lambda: browser.ask("window.scheduled.at(-1)") == 10_000, "the page to rest")
        browser.press(Keys.SHIFT)
        wait_until(lambda: browser.ask("window.scheduled.at(-1)") == 2_000, "the page to be awake")

    def test_on_a_phone_nothing_sticks_out_and_all_can_be_read(self) -> None:
        browser = self.browser(PHONE, "dark")
        self.wait_for_row(browser, "europe", "Needs attention", "42 items")
        self.wait_for_row(browser, "shop", r"[\d.]+/s\s+[\d.]+/s")
        labels = browser.ask("[...document.querySelector('#rows > .row').cells].map(c => getComputedStyle(c, '::before').content).filter(c => c !== 'none')")
        self.assertEqual(labels, ['"In"', '"Out"', '"Backlog"', '"Allowance"', '"Dead letters"'])
        browser.driver.find_element(By.XPATH, "//button[text()='shop']").click()
        self.wait_for_row(browser, "shop", "Last error", r"Refused")
        self.assertLessEqual(browser.ask("document.documentElement.scrollWidth"), PHONE[0])
        cut = browser.ask("[...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0"
                          " && getComputedStyle(e).display !== 'inline' && !e.closest('.hidden, thead')).map(e => e.className || e.tagName)")
        self.assertEqual(cut, [])
        small = browser.ask("[...document.querySelectorAll('main *')].filter(e => e.textContent.trim() !== '' && e.children.length === 0"
                            " && parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.textContent)")
        self.assertEqual(small, [])
        browser.screenshot(self.screenshots / "status-phone-dark.png")

    def test_words_stand_out_from_their_ground_by_day_and_by_night(self) -> None:
        for scheme in ("light", "dark"):
            browser = self.browser(DESK, scheme)
            self.wait_for_row(browser, "europe", "Needs attention")
            browser.driver.find_element(By.XPATH, "//button[text()='shop']").click()
            self.wait_for_row(browser, "shop", "Last error", r"Refused", r"[\d.]+/s in\s+[\d.]+/s out")
            pale = browser.ask(CONTRAST)
            self.assertEqual(pale, [], scheme)
            faint = browser.ask(LINES)
            self.assertEqual(faint, [], scheme)
            if scheme == "dark":
                browser.screenshot(self.screenshots / "status-desk-dark.png")

    def test_it_follows_what_happens_and_says_when_it_cannot(self) -> None:
        browser = self.browser(DESK, "light")
        self.wait_for_row(browser, "staging", "Paused")
        self.act("resume", "staging")
        self.wait_for_row(browser, "staging", "Active", "Empty")
        self.act("pause", "staging")
        self.wait_for_row(browser, "staging", "Paused")
        self.server.process.send_signal(signal.SIGSTOP)  # it neither answers nor refuses
        try:
            wait_until(lambda: "The server has not answered for" in browser.text(), "the notice")
            self.assertIn("Numbers are old", browser.text())
            self.assertIn("42 items", browser.row("europe"))
        finally:
            self.server.process.send_signal(signal.SIGCONT)
        wait_until(lambda: "Live" in browser.text() and "has not answered" not in browser.text(), "the page to be live again")

    def test_it_loads_nothing_from_elsewhere_and_shows_no_secret(self) -> None:
        browser = self.browser(DESK, "light")
        wait_until(lambda: "1 item is kept" in browser.text(), "the dead letter")
        loaded = browser.ask("performance.getEntriesByType('resource').map(e => e.name)")
        self.assertTrue(all(url.startswith(self.server.http_url + "/") for url in loaded), loaded)
        page = browser.ask("document.documentElement.outerHTML")
        for secret in (APP_US, APP_EU, "3333333333", "person-", "poisoned"):
            self.assertNotIn(secret, page)
        self.assertEqual(browser.driver.title.removeprefix("(!) "), "Heap Sync")
        self.assertEqual(browser.ask("document.images.length"), 0)
        with urllib.request.urlopen(self.server.http_url + "/", timeout=harness.PATIENCE) as answer:
            policy = answer.headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)


# Lines of the charts that hardly differ from what is behind them: below 3 to 1, as WCAG asks of graphics.
LINES = """(() => {
  const light = c => {
    const [x, y, z] = c.match(/[\\d.]+/g).slice(0, 3).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = light(getComputedStyle(document.querySelector('.panel')).backgroundColor);
  return [...document.querySelectorAll('.line')].map(line => [line.className.baseVal, light(getComputedStyle(line).stroke)])
      .filter(([, l]) => (Math.max(l, ground) + 0.05) / (Math.min(l, ground) + 0.05) < 3).map(([name]) => name);
})()"""

# Every word whose colour is too near to that of its ground: below 4.5 to 1, as WCAG counts.
CONTRAST = """(() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const pale = [];
  for (const e of document.querySelectorAll('body *')) {
    if (!e.offsetParent || ![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) pale.push(e.textContent.trim().slice(0, 30) + ' ' + ratio.toFixed(1));
  }
  return pale;
})()"""


class ManyDestinationsTest(unittest.TestCase):
    """Ten thousand destinations stay as usable as ten."""

    COUNT = 10_000

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = temporary_folder(cls)
        cls.screenshots = screenshot_folder(cls.folder)
        cls.heap = FakeHeap(cls.folder)
        cls.addClassCleanup(cls.heap.kill)
        config = cls.folder / "heapsync.json"
        config.write_text(json.dumps({"destinations": [
            {"name": f"app-{number:05}", "app_id": str(7_000_000_000 + number), "region": "eu" if number % 3 == 0 else "us"}
            for number in range(cls.COUNT)], "default_destination": "app-00000"}))
        cls.server = Server(cls.folder, cls.heap, f"--config={config}")
        cls.addClassCleanup(cls.server.kill)
        with grpc.insecure_channel(cls.server.address) as channel:
            for number in range(0, cls.COUNT, 400):
                raw_calls.call(channel, "TrackEvent", raw_calls.event("person"), f"app-{number:05}")
        cls.window = Browser(cls.folder)
        cls.addClassCleanup(cls.window.driver.quit)

    def test_a_person_finds_one_among_ten_thousand(self) -> None:
        browser = self.window
        browser.become(DESK, "light")
        browser.driver.get(self.server.http_url + "/")
        wait_until(lambda: "All 10,000" in browser.text(), "the number of destinations")
        self.assertEqual(len(browser.names()), 25)
        self.assertIn("Page 1 of 400", browser.text())
        browser.driver.find_element(By.ID, "next").click()
        wait_until(lambda: "Page 2 of 400" in browser.text(), "the next page")
        self.assertEqual(browser.focused(), "next")
        self.assertTrue(browser.driver.current_url.endswith("#page=2"))
        browser.screenshot(self.screenshots / "status-desk-10000.png")
        browser.driver.find_element(By.ID, "search").send_keys("07777")
        wait_until(lambda: browser.names() == ["app-07777"], "the destination")
        self.assertIn("1 of 10,000", browser.text())
        browser.driver.refresh()
        wait_until(lambda: browser.names() == ["app-07777"], "the same after a reload")
        browser.driver.find_element(By.ID, "search").clear()
        browser.driver.find_element(By.ID, "search").send_keys("7000007777")  # the whole App ID finds nothing
        wait_until(lambda: "No destination matches." in browser.text(), "nothing")
        self.assertEqual(browser.complaints(), [])

    def test_an_answer_is_as_small_as_with_a_few_destinations(self) -> None:
        browser = self.window
        browser.become(PHONE, "dark")
        browser.driver.get(self.server.http_url + "/#search=app-0")
        wait_until(lambda: "Page 1 of 400" in browser.text(), "the list")
        self.assertLessEqual(browser.ask("document.documentElement.scrollWidth"), PHONE[0])
        sizes = browser.ask("performance.getEntriesByType('resource').map(e => e.encodedBodySize)")
        self.assertLess(max(sizes), 100_000)
        self.assertLess(browser.ask("document.querySelectorAll('*').length"), 2_000)
        browser.screenshot(self.screenshots / "status-phone-10000.png")


if __name__ == "__main__":
    harness.run()
