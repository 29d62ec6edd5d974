"""The lessons as notebooks: found, run with papermill, recorded, swept and reported."""

from kdhelpers.course.lesson import Notebook, find_lessons
from kdhelpers.course.records import CourseError, find_root, load_records, write_record

__all__ = ["CourseError", "Notebook", "find_lessons", "find_root", "load_records", "write_record"]
