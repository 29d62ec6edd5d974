"""What pyproject.toml cannot say: the course goes into the wheel, and the README leads to it."""

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from kdhelpers.course.root import ADDRESS, contents, linked  # noqa: E402


class WithCourse(build_py):
    """The modules, and beside them what `kdhelpers start` brings; in a checkout that is there."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        material = Path(self.build_lib, "kdhelpers", "course", "material")
        shutil.rmtree(material, ignore_errors=True)
        for name, text in contents(ROOT):
            path = material / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())


readme = linked((ROOT / "README.md").read_text(encoding="utf-8"), "README.md", held=())
if ADDRESS:
    readme = readme.replace('src="docs/', f'src="{ADDRESS}/raw/main/docs/')
places = {"Repository": "", "Issues": "/issues", "Changelog": "/blob/main/CHANGELOG.md"}
setup(
    cmdclass={"build_py": WithCourse},
    long_description=readme,
    long_description_content_type="text/markdown",
    project_urls={name: ADDRESS + path for name, path in places.items()} if ADDRESS else {},
)
