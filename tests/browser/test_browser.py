"""What a person does with the pages, in a browser: with a mouse, with the keyboard alone, by day and by night."""

import base64
import re

import pytest

import penlight as pl
from penlight.serve import make_app, open_registry
from tests.browser.conftest import png, serving
from tests.drawn import shelf_folder

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=60_000)

RUN = "/runs/fundus"
DONE = re.compile(r"^(?!The explanation is being made).+")

TRANSFER = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  return transfer;
}"""


def transfer(page, name, content):
    return page.evaluate_handle(TRANSFER, [name, base64.b64encode(content).decode()])


def choose(page, *files):
    page.set_input_files("#files", [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files])
    expect(page.locator("#meaning")).to_have_text(DONE)


def drawn(context, number=0, run="fundus"):
    answer = context.request.get(f"/runs/{run}/example?number={number}")
    return f"drawn-{number}.png", answer.body()


def expected(content, run="fundus"):
    return pl.predict(shelf_folder() / run, [("a.png", content)]).to_dict()["images"][0]


def heading(answer):
    """What the page says largest: no answer, several possible ones, or one."""
    if answer["unusual"] or (answer["several_possible"] and len(answer["probabilities"]) > 6):
        return "No answer"
    if not answer["several_possible"]:
        return " and ".join(answer["answers"])
    *first, last = answer["possible"]
    return f"{', '.join(first)} or {last}"


def shows(page, answer):
    """The answer on the page is that of the command: in words, in numbers, with what is possible."""
    words = heading(answer)
    expect(page.locator("#answer-words")).to_have_text(words)
    rows = page.locator("#chances tr")
    assert rows.locator("th").all_inner_texts() == list(answer["probabilities"])
    for row, p in zip(rows.all(), answer["probabilities"].values(), strict=True):
        said = row.locator("td.n").inner_text()
        assert said in (f"{p:.2f}", "< 0.01", "> 0.99")
        wide, whole = (row.locator(part).bounding_box()["width"] for part in (".fill", ".chance"))
        assert wide / whole == pytest.approx(p, abs=0.02)
    for label in answer["possible"]:
        if answer["abstains"] or label not in answer["answers"]:
            expect(page.locator("#answer-set")).to_contain_text(label)
    texts = [warning["text"] for warning in answer["warnings"]]
    assert page.locator("#warnings li").all_inner_texts() == texts
    expect(page.locator("#status")).to_contain_text(words)


def test_an_image_is_dropped_and_answered(page, context):
    name, content = drawn(context, 2)
    page.goto(RUN)
    page.locator("#drop").dispatch_event("drop", {"dataTransfer": transfer(page, name, content)})
    expect(page.locator("#meaning")).to_have_text(DONE)
    shows(page, expected(content))
    expect(page.locator("#answer-file")).to_have_text(name)
    expect(page.locator("#canvas")).to_have_attribute("aria-label", re.compile(name))


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.full), 390])
def test_long_labels_are_no_wider_than_the_page(page, context, width):
    """The labels of the run's table and of its choice become those of somebody's own pictures."""
    name, content = drawn(context, 2)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(RUN)
    page.locator("#drop").dispatch_event("drop", {"dataTransfer": transfer(page, name, content)})
    expect(page.locator("#meaning")).to_have_text(DONE)
    texts = "() => document.querySelectorAll('#chances th > *, #label option').forEach((e) => (e.textContent = LONG))"
    page.evaluate(texts.replace("LONG", repr("Adenocarcinoma, moderately differentiated, with vascular invasion")))
    assert page.evaluate("() => document.documentElement.scrollWidth") == width
    stage, rest = (page.locator(part).bounding_box() for part in ("#label", ".rest"))
    assert stage["x"] + stage["width"] <= (rest["x"] if width > 1000 else width)
    assert page.locator("#chances .chance").first.bounding_box()["width"] >= 64


def test_an_image_is_pasted(page, context):
    name, content = drawn(context, 3)
    page.goto(RUN)
    page.evaluate(
        "(data) => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))",
        transfer(page, name, content),
    )
    expect(page.locator("#meaning")).to_have_text(DONE)
    shows(page, expected(content))


def test_a_picture_unlike_the_training_images_is_said_to_be(page):
    content = png()
    answer = expected(content)
    assert "unlike-training" in [warning["code"] for warning in answer["warnings"]]
    page.goto(RUN)
    choose(page, ("noise.png", content))
    shows(page, answer)
    expect(page.locator("#answer-set")).to_contain_text("too unlike")
    expect(page.locator("#warnings .serious")).to_have_count(1)


def test_findings_have_their_thresholds_marked(page, context):
    name, content = drawn(context, 5, "films")
    result = pl.predict(shelf_folder() / "films", [("a.png", content)]).to_dict()
    page.goto("/runs/films")
    choose(page, (name, content))
    rows = page.locator("#chances tr")
    assert sorted(rows.locator("th").all_inner_texts()) == sorted(result["model"]["labels"])
    for row in rows.all():
        cut = result["model"]["thresholds"][row.locator("th").inner_text()]
        bar, mark = row.locator(".chance").bounding_box(), row.locator(".cut").bounding_box()
        assert (mark["x"] + mark["width"] / 2 - bar["x"]) / bar["width"] == pytest.approx(cut, abs=0.02)
    decided = [] if result["images"][0]["abstains"] else result["images"][0]["answers"]
    assert sorted(page.locator("#chances .yes th").all_inner_texts()) == sorted(decided)


def test_several_images_make_a_list_and_a_broken_one_says_why(page, context, seen):
    good, broken = drawn(context, 1), ("broken.png", png()[:300])
    page.goto(RUN)
    choose(page, good, broken, drawn(context, 4))
    films = page.locator(".films button")
    expect(films).to_have_count(3)
    expect(page.locator("#status")).to_have_text("3 images are answered, but 1 of them could not be used.")
    expect(films.nth(0)).to_have_attribute("aria-pressed", "true")
    films.nth(1).click()
    expect(page.locator("#answer-set")).to_contain_text("broken.png cannot be used")
    expect(page.locator("#canvas")).to_be_hidden()
    films.nth(2).click()
    shows(page, expected(drawn(context, 4)[1]))
    # Chromium notes every answer that is not 200.
    assert [text for text in seen.messages if "422" not in text] == []
    seen.messages.clear()


def test_the_slider_lays_the_explanation_over_the_image(page, context, explains):
    page.goto(RUN)
    choose(page, drawn(context, 2))
    slider, canvas = page.locator("#opacity"), page.locator("#canvas")
    if not explains:
        expect(page.locator("#meaning")).to_contain_text("This installation cannot explain.")
        expect(slider).to_be_disabled()
        return
    slider.fill("0")
    expect(page.locator("#opacity-value")).to_have_text("0 %")
    bare = canvas.screenshot()
    slider.fill("100")
    whole = canvas.screenshot()
    assert whole != bare
    page.select_option("#label", "proliferative")
    expect(page.locator("#canvas")).to_have_attribute("aria-label", re.compile("speaks for proliferative"))
    assert canvas.screenshot() not in (bare, whole)
    slider.fill("0")
    assert canvas.screenshot() == bare


LAID = """async ([colour, value, opacity]) => {
  const { drawOver } = await import("/static/pictures.js");
  const filled = (style) => {
    const made = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
    const pen = made.getContext("2d", { willReadFrequently: true });
    pen.fillStyle = style;
    pen.fillRect(0, 0, 8, 8);
    return made;
  };
  const canvas = filled("#000");
  drawOver(canvas, filled(colour), filled(`rgb(${value} ${value} ${value})`), opacity);
  return [...canvas.getContext("2d").getImageData(4, 4, 1, 1).data];
}"""


def test_the_map_is_opaque_at_100_and_all_colour_is_the_maps(page):
    from matplotlib import colormaps

    page.goto(RUN)
    for value in (0, 64, 200, 255):
        magma = [round(255 * part) for part in colormaps["magma"](value)]
        for colour in ("#ff8c00", "#000000"):
            assert page.evaluate(LAID, [colour, value, 1]) == pytest.approx(magma, abs=3)
    assert page.evaluate(LAID, ["#ff8c00", 255, 0]) == [255, 140, 0, 255]
    # An orange retina where nothing speaks for the label.
    red, green, blue, _ = page.evaluate(LAID, ["#ff8c00", 0, 0.7])
    assert max(red, green, blue) - min(red, green, blue) <= 3


def test_the_theme_is_switched_and_kept_on_every_page(page):
    ground = "() => getComputedStyle(document.body).backgroundColor"
    page.goto("/")
    day = page.evaluate(ground)
    button = page.get_by_role("button", name="Switch between light and dark mode")
    expect(button).to_have_text("Night")
    button.click()
    expect(button).to_have_text("Day")
    night = page.evaluate(ground)
    assert night != day
    # A report stands in a sandbox and keeps nothing.
    for address in (RUN, "/compare?run=fundus&run=fundus-rough"):
        page.goto(address)
        assert page.evaluate(ground) == night
    page.locator("#theme").click()
    assert page.evaluate(ground) == day


def test_night_is_the_night_of_the_system(page):
    page.emulate_media(color_scheme="dark")
    page.goto("/")
    expect(page.locator("#theme")).to_have_text("Day")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"


def test_two_runs_are_compared(page):
    found = pl.compare([shelf_folder() / "fundus", shelf_folder() / "fundus-rough"]).comparison
    page.goto("/")
    button = page.get_by_role("button", name="Compare")
    expect(button).to_be_disabled()
    page.get_by_label("Compare fundus", exact=True).check()
    expect(page.locator("#chosen")).to_have_text("fundus is chosen; choose another run of the same images.")
    page.get_by_label("Compare fundus-rough", exact=True).check()
    expect(page.locator("#chosen")).to_have_text("Chosen: fundus, fundus-rough.")
    button.click()
    expect(page.locator("h1")).to_have_text("fundus and fundus-rough by AUC")
    table = page.locator("#scores tbody")
    for model in found.models:
        expect(table).to_contain_text(f"{model.mean:.3f}")
    expect(page.locator("svg.plot")).to_have_count(1)
    # Pages of the server have the script that saves figures as a file.
    figure = page.locator("figure[data-name]").first
    with page.expect_download() as download:
        figure.get_by_role("button", name="as SVG").click()
    assert download.value.suggested_filename.endswith(".svg")
    assert "var(" not in download.value.path().read_text()


def test_runs_of_other_images_are_refused_in_words(page, seen):
    page.goto("/")
    page.get_by_label("Compare fundus", exact=True).check()
    page.get_by_label("Compare films", exact=True).check()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".verdict")).to_contain_text("cannot be compared, their dataset differs")
    page.get_by_role("link", name="To the gallery").click()
    expect(page.locator("h1")).to_have_text("Runs and studies")
    assert all("400" in text for text in seen.messages)
    seen.messages.clear()


def focus(page):
    return page.evaluate("() => document.activeElement.id || document.activeElement.textContent.trim()")


def tab_to(page, wanted, most=40):
    for _ in range(most):
        page.keyboard.press("Tab")
        if focus(page) == wanted:
            return
    raise AssertionError(f"{wanted} is not reached by {most} tabs; the focus is on {focus(page)}.")


def test_all_of_it_by_keyboard_alone(page, context, explains):
    page.goto("/")
    page.keyboard.press("Tab")
    assert focus(page) == "Skip to the content"
    tab_to(page, "theme")
    page.keyboard.press("Enter")
    expect(page.locator("#theme")).to_have_text("Day")
    for name in ("fundus", "fundus-rough"):
        tab_to(page, f"choose-{name}")
        page.keyboard.press("Space")
    tab_to(page, "Compare")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("fundus and fundus-rough by AUC")

    name, content = drawn(context, 2)
    file = {"name": name, "mimeType": "image/png", "buffer": content}
    # Listening from here on: the browser must know before the key is pressed that nobody sees its dialog.
    page.once("filechooser", lambda chooser: chooser.set_files(file))
    page.goto(RUN)
    tab_to(page, "files")
    page.keyboard.press("Enter")
    expect(page.locator("#meaning")).to_have_text(DONE)
    assert focus(page) == "answer"
    shows(page, expected(content))
    tab_to(page, "label")
    page.keyboard.press("ArrowDown")
    tab_to(page, "method")
    if explains:
        tab_to(page, "opacity")
        page.keyboard.press("Home")
        expect(page.locator("#opacity-value")).to_have_text("0 %")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#opacity-value")).to_have_text("1 %")


def test_the_focus_is_seen(page):
    page.goto(RUN)
    outline = "() => getComputedStyle(document.activeElement).outlineStyle"
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate(outline) != "none"
    tab_to(page, "files")
    assert page.evaluate("() => getComputedStyle(document.querySelector('.file .primary')).outlineStyle") == "solid"


def test_a_drawn_example_is_offered_for_phantoms(page):
    page.goto(RUN)
    page.get_by_role("button", name="Try a drawn example").click()
    expect(page.locator("#answer-file")).to_contain_text("drawn as")
    expect(page.locator("#meaning")).to_have_text(DONE)


def test_a_server_that_is_gone_is_said_to_be(page, context, seen):
    page.goto(RUN)
    name, content = drawn(context, 2)
    context.route("**/api/**", lambda route: route.abort())
    page.set_input_files("#files", [{"name": name, "mimeType": "image/png", "buffer": content}])
    expect(page.locator("#answer-set")).to_have_text("The server did not answer. Is it still running?")
    seen.messages.clear()


@pytest.mark.parametrize(
    "place",
    ["/", RUN, "/compare?run=fundus&run=fundus-rough", pytest.param("/compare?run=no", marks=pytest.mark.full)],
)
def test_a_phone_shows_it_without_scrolling_sideways(place, page, context, seen):
    page.set_viewport_size({"width": 360, "height": 780})
    page.goto(place)
    if place == RUN:
        choose(page, drawn(context, 2), drawn(context, 3))
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    seen.messages.clear()


@pytest.mark.parametrize("answered", [False, pytest.param(True, marks=pytest.mark.full)])
def test_below_a_prefix_an_image_is_asked_about_and_runs_are_compared(browser, explains, answered):
    """What scripts ask for begins with the prefix too. Answers, for which workers start, are of the full tests."""
    with serving(make_app(open_registry([shelf_folder()], "/pen"), names={"127.0.0.1"})) as address:
        context = browser.new_context(base_url=address)
        asked = []
        context.on("request", lambda request: asked.append(request.url.removeprefix(address)))
        page = context.new_page()
        if not answered:
            context.route("**/predict*", lambda route: route.abort())
            context.route("**/explain*", lambda route: route.abort())
        page.goto("/pen/")
        for name in ("fundus", "fundus-rough"):
            page.locator(f"#choose-{name}").check()
        page.get_by_role("button", name="Compare").click()
        expect(page.locator("h1")).to_have_text("fundus and fundus-rough by AUC")
        page.goto("/pen/runs/fundus")
        page.get_by_role("button", name="Try a drawn example").click()
        if answered:
            expect(page.locator("#meaning")).to_have_text(DONE)
        else:
            expect(page.locator("#answer-set")).to_have_text("The server did not answer. Is it still running?")
        asks = "explain" if explains and answered else "predict"
        assert f"/pen/api/v1/runs/fundus/{asks}" in {url.split("?")[0] for url in asked}
        assert all(url.startswith(("/pen/", "data:", "blob:")) for url in asked)
        context.close()
