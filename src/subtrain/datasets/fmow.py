"""FMoW as the paper has it: WILDS' `time_after_2016`, restricted to the year 2012, from a local WILDS folder."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import CorruptError, InputError
from subtrain.system.paths import local_path

METADATA, COUNTRIES = "rgb_metadata.csv", "country_code_mapping.csv"
SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_NAMES = (
    "airport airport_hangar airport_terminal amusement_park aquaculture archaeological_site barn border_checkpoint "
    "burial_site car_dealership construction_site crop_field dam debris_or_rubble educational_institution "
    "electric_substation factory_or_powerplant fire_station flooded_road fountain gas_station golf_course "
    "ground_transportation_station helipad hospital impoverished_settlement interchange lake_or_pond lighthouse "
    "military_facility multi-unit_residential nuclear_powerplant office_building oil_or_gas_facility park "
    "parking_lot_or_garage place_of_worship police_station port prison race_track railway_bridge recreational_facility "
    "road_bridge runway shipyard shopping_mall single-unit_residential smokestack solar_farm space_facility stadium "
    "storage_tank surface_mine swimming_pool toll_booth tower tunnel_opening waste_disposal water_treatment_facility "
    "wind_farm zoo"
)
CATEGORIES = tuple(_NAMES.split())
# Of each split: the split of the metadata it is part of, and when its images were taken.
SPLITS = {
    "train": ("train", "year"),
    "id_val": ("val", "year"),
    "id_test": ("test", "year"),
    "val": ("val", "later"),
    "test": ("test", "last"),
}


@dataclass(frozen=True, eq=False)
class FMoW:
    """One split, used like a PyTorch data set: `len(data)`, `data[i] -> (image, label)`.

    Column i of the published matrices is `data[i]` of "train" (masks, train margins) or "id_test" (test margins).
    rows: int64 [N], the image's row in rgb_metadata.csv, which names its file; labels: int64 [N], index in CATEGORIES;
    regions and years: the region's name and the calendar year (UTC) of each. transform is applied to the PIL image;
    without one, images come as uint8 [224, 224, 3].
    """

    folder: Path
    split: str
    rows: NDArray[np.int64] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    regions: tuple[str, ...] = field(repr=False)
    years: NDArray[np.int64] = field(repr=False)
    transform: Callable[[Any], Any] | None = None

    @staticmethod
    def open(
        folder: str | Path, split: str = "train", year: int = 2016, transform: Callable[[Any], Any] | None = None
    ) -> FMoW:
        """A split of the WILDS folder `folder` (fmow_v1.1, or the one above it); no package of WILDS is needed.

        split: "train", "id_val" or "id_test", of year - 4 alone; "val", of the years from year - 3 up to year; or
        "test", from `year` on. Sequestered images are in none. Raises InputError for a folder or split that is not
        there, CorruptError for metadata that make no sense.
        """
        if split not in SPLITS:
            raise InputError(f"FMoW has no split {split!r}; choose from {', '.join(SPLITS)}")
        root = find(folder)
        if root is None:
            raise InputError(f"{folder} is no WILDS folder of FMoW: there is no {METADATA} in it, nor in its fmow_v1.1")
        part, era = SPLITS[split]
        after, before = {"year": (year - 4, year - 3), "later": (year - 3, year), "last": (year, 9999)}[era]
        start, stop = (datetime(y, 1, 1, tzinfo=UTC) for y in (after, before))
        region_of = {row["alpha-3"]: row["region"] for row in _table(root / COUNTRIES, ("alpha-3", "region"))}
        rows, labels, regions, years = [], [], [], []
        columns = ("split", "category", "timestamp", "country_code")
        for number, row in enumerate(_table(root / METADATA, columns)):
            taken = _time(row["timestamp"], root, number)
            if row["split"] == part and start <= taken < stop:
                rows.append(number)
                labels.append(_category(row["category"], root, number))
                regions.append(region_of.get(row["country_code"], "Other"))
                years.append(taken.year)
        numbers, classes, taken_in = (np.array(values, np.int64) for values in (rows, labels, years))
        return FMoW(root, split, numbers, classes, tuple(regions), taken_in, transform)

    def __len__(self) -> int:
        return self.rows.size

    def __getitem__(self, index: int) -> tuple[Any, int]:
        from PIL import Image, UnidentifiedImageError

        file = self.folder / "images" / f"rgb_img_{self.rows[index]}.png"
        try:
            with Image.open(file) as opened:
                image = opened.convert("RGB")
        except FileNotFoundError:
            raise InputError(f"image {index} of the split {self.split} is not there: {file}") from None
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            raise CorruptError(f"{file} is not a whole image: {error}") from error
        return self.transform(image) if self.transform else np.asarray(image), int(self.labels[index])

    def arrays(self, first: int | None = None) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The first images (all by default) and their labels in memory: uint8 [N, 224, 224, 3], 150 kB an image."""
        count = len(self) if first is None else min(first, len(self))
        plain = FMoW(self.folder, self.split, self.rows, self.labels, self.regions, self.years)
        images = np.empty((count, SIDE, SIDE, 3), np.uint8)
        for k in range(count):
            image = plain[k][0]
            if image.shape != images.shape[1:]:
                raise CorruptError(
                    f"image {self.rows[k]} of {self.folder} is {list(image.shape)}, not {list(images.shape[1:])}"
                )
            images[k] = image
        return images, self.labels[:count]


@dataclass(frozen=True)
class FMoWDataset:
    """FMoW under the names of the published data's page: `FMoWDataset(root_dir, split_scheme).get_subset(split)`.

    root_dir: the folder that holds fmow_v1.1, or that itself; split_scheme: "official" or "time_after_YEAR".
    """

    root_dir: str | Path = "data"
    split_scheme: str = "official"

    def get_subset(self, split: str, transform: Callable[[Any], Any] | None = None) -> FMoW:
        """A split: "train", "id_val", "id_test", "val" or "test"; InputError as `FMoW.open` raises it."""
        scheme = "time_after_2016" if self.split_scheme == "official" else self.split_scheme
        year = scheme.removeprefix("time_after_")
        if year == scheme or not (year.isascii() and year.isdigit() and len(year) == 4):
            raise InputError(f"split_scheme must be 'official' or 'time_after_YEAR', got {self.split_scheme!r}")
        return FMoW.open(self.root_dir, split, int(year), transform)


def find(folder: str | Path) -> Path | None:
    """The folder of FMoW that this is or holds; None if there is none."""
    choices = (local_path(folder), local_path(folder) / "fmow_v1.1")
    return next((choice for choice in choices if (choice / METADATA).is_file()), None)


def _table(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise CorruptError(f"{path} has no column named {', '.join(missing)}")
            yield from reader
    except FileNotFoundError:
        raise InputError(f"{path} is not there: it is part of WILDS' FMoW") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorruptError(f"{path} cannot be read: {error}") from error


def _time(text: str, root: Path, number: int) -> datetime:
    try:
        taken = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise CorruptError(f"row {number} of {root / METADATA} has the timestamp {text!r}") from None
    return taken if taken.tzinfo else taken.replace(tzinfo=UTC)


def _category(name: str, root: Path, number: int) -> int:
    try:
        return CATEGORIES.index(name)
    except ValueError:
        raise CorruptError(f"row {number} of {root / METADATA} has the category {name!r}, none of the 62") from None
