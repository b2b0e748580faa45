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
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
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

    def card(self, name: str) -> str:
        """What the card of a destination shows; empty while there is none."""
        try:
            for card in self.driver.find_elements(By.CSS_SELECTOR, "article"):
                if card.find_element(By.TAG_NAME, "h2").text == name:
                    return str(card.text)
        except StaleElementReferenceException:
            pass  # it was just drawn anew
        return ""

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


class StatusPageTest(unittest.TestCase):
    folder: Path
    heap: FakeHeap
    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
            harness.skip("no chromium; scripts/install_dependencies.sh --test installs it")
        cls.folder = temporary_folder(cls)
        cls.screenshots = Path(os.environ.get("HEAPSYNC_SCREENSHOTS", cls.folder / "screenshots"))
        cls.screenshots.mkdir(parents=True, exist_ok=True)
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

    def wait_for_card(self, browser: Browser, name: str, *patterns: str) -> None:
        for pattern in patterns:
            wait_until(lambda pattern=pattern: re.search(pattern, browser.card(name)), f"{name} to show {pattern!r}; {browser.card(name)}")

    def test_a_person_at_a_desk_sees_how_each_destination_is_and_why(self) -> None:
        browser = self.browser(DESK, "light")
        self.wait_for_card(browser, "shop", "Active", r"US · App ID …\d{4}", r"[\d.]+/s in · [\d.]+/s out", "HTTP 400", "Dead letters\n1 item")
        self.wait_for_card(browser, "crm-sync", "400 of 400 events/min", "limit is used up", r"500 items", "Gone in about")
        self.wait_for_card(browser, "europe", "Needs attention", "Check the App ID, the region", "HTTP 403", "42 items", "No forecast")
        self.wait_for_card(browser, "staging", "Paused", "ResumeDestination", "7 items")
        self.wait_for_card(browser, "mobile-apps", "Backing off", "HTTP 503", "15 items")
        self.assertIn("Destinations\n5", browser.text())
        self.assertIn("Not active\n3", browser.text())
        self.assertIn("1 needs attention, 1 backing off, 1 paused.", browser.text())
        self.assertEqual(browser.driver.title, "(!) Heap Sync")
        # Destinations that need attention come first.
        names = [card.text for card in browser.driver.find_elements(By.CSS_SELECTOR, "article h2")]
        self.assertEqual(names[0], "europe")
        browser.driver.find_elements(By.TAG_NAME, "summary")[0].click()
        wait_until(lambda: "Accepted Delivered Coalesced Dead Queued" in browser.text(), "the numbers by type")
        browser.driver.find_elements(By.TAG_NAME, "summary")[0].click()
        browser.screenshot(self.screenshots / "status-desk-light.png")
        self.assertEqual(browser.complaints(), [])

    def test_on_a_phone_nothing_sticks_out_and_all_can_be_read(self) -> None:
        browser = self.browser(PHONE, "dark")
        self.wait_for_card(browser, "europe", "Needs attention", "42 items")
        self.wait_for_card(browser, "shop", r"[\d.]+/s in · [\d.]+/s out")
        self.assertLessEqual(browser.ask("document.documentElement.scrollWidth"), PHONE[0])
        cut = browser.ask("[...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0"
                          " && getComputedStyle(e).display !== 'inline').map(e => e.className || e.tagName)")
        self.assertEqual(cut, [])
        small = browser.ask("[...document.querySelectorAll('main *')].filter(e => e.textContent.trim() !== '' && e.children.length === 0"
                            " && parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.textContent)")
        self.assertEqual(small, [])
        browser.screenshot(self.screenshots / "status-phone-dark.png")

    def test_words_stand_out_from_their_ground_by_day_and_by_night(self) -> None:
        for scheme in ("light", "dark"):
            browser = self.browser(DESK, scheme)
            self.wait_for_card(browser, "europe", "Needs attention")
            pale = browser.ask(CONTRAST)
            self.assertEqual(pale, [], scheme)
            self.wait_for_card(browser, "shop", r"[\d.]+/s in · [\d.]+/s out")
            if scheme == "dark":
                browser.screenshot(self.screenshots / "status-desk-dark.png")

    def test_it_follows_what_happens_and_says_when_it_cannot(self) -> None:
        browser = self.browser(DESK, "light")
        self.wait_for_card(browser, "staging", "Paused")
        self.act("resume", "staging")
        self.wait_for_card(browser, "staging", "Active", "Backlog\nEmpty")
        self.act("pause", "staging")
        self.wait_for_card(browser, "staging", "Paused")
        self.server.process.send_signal(signal.SIGSTOP)  # it neither answers nor refuses
        try:
            wait_until(lambda: "The server has not answered for" in browser.text(), "the notice")
            self.assertIn("Numbers are old", browser.text())
            self.assertIn("42 items", browser.card("europe"))
        finally:
            self.server.process.send_signal(signal.SIGCONT)
        wait_until(lambda: "Live" in browser.text() and "has not answered" not in browser.text(), "the page to be live again")

    def test_it_loads_nothing_from_elsewhere_and_shows_no_secret(self) -> None:
        browser = self.browser(DESK, "light")
        self.wait_for_card(browser, "shop", "1 item")
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


if __name__ == "__main__":
    harness.run()
