"""The table of known datasets: the twelve 2D sets of MedMNIST and the two phantoms. Facts alone; nothing is opened.

MedMNIST v2: Yang et al., Scientific Data 10:41, 2023; larger sizes: MedMNIST+, Zenodo record 10519652.
"""

from collections.abc import Mapping
from pathlib import Path

from penlight.data.dataset import SPLITS, DatasetInfo
from penlight.data.description import Description, described_names, find_description, is_name, position_matters
from penlight.data.remembered import find_reference, reference_to
from penlight.errors import DataError, UnknownNameError
from penlight.phantoms.labels import FINDINGS
from penlight.tasks import Binary, MultiClass, MultiLabel, Ordinal, Task

SIZES = (28, 64, 128, 224)
"""Sides in pixels of the official files, and of the phantoms."""

RECORD = "https://zenodo.org/records/10519652"
BASE_URL = f"{RECORD}/files"
"""Where the official files are fetched from."""

_DRAWN = "Drawn by Penlight; no patient was photographed"

GRADES = ("none", "mild", "moderate", "severe", "proliferative")
ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)


def _row(
    name: str,
    title: str,
    modality: str,
    task: Task,
    channels: int,
    samples: tuple[int, int, int],
    md5: tuple[str, ...] = (),
    licence: str = "CC BY 4.0",
    source: str = f"MedMNIST v2, {RECORD}",
    cautions: tuple[str, ...] = (),
    images_per_patient: int = 1,
) -> DatasetInfo:
    return DatasetInfo(
        name=name,
        title=title,
        task=task,
        channels=channels,
        samples=dict(zip(SPLITS, samples, strict=True)),
        licence=licence,
        source=source,
        modality=modality,
        position_matters=position_matters(modality),
        md5=dict(zip(SIZES, md5, strict=True)) if md5 else {},
        cautions=cautions,
        images_per_patient=images_per_patient,
    )


# fmt: off
_ROWS = (
    _row(
        "pathmnist", "PathMNIST: colorectal cancer tissue", "histology",
        MultiClass((
            "adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa",
            "cancer-associated stroma", "colorectal adenocarcinoma epithelium"
        )),
        channels=3, samples=(89996, 10004, 7180),
        md5=("a8b06965200029087d5bd730944a56c1", "55aa9c1e0525abe5a6b9d8343a507616",
             "ac42d08fb904d92c244187169d1fd1d9", "2c51a510bcdc9cf8ddb2af93af1eadec"),
    ),
    _row(
        "chestmnist", "ChestMNIST: frontal chest radiographs", "film",
        MultiLabel(FINDINGS),
        channels=1, samples=(78468, 11219, 22433),
        md5=("02c8a6516a18b556561a56cbdd36c4a8", "9de6cd0b934ebb5b7426cfba5efbae16",
             "db107e5590b27930b62dbaf558aebee3", "45bd33e6f06c3e8cdb481c74a89152aa"),
    ),
    _row(
        "dermamnist", "DermaMNIST: pigmented skin lesions", "dermoscopy",
        MultiClass((
            "actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma",
            "benign keratosis-like lesions", "dermatofibroma", "melanoma", "melanocytic nevi",
            "vascular lesions"
        )),
        channels=3, samples=(7007, 1003, 2005),
        md5=("0744692d530f8e62ec473284d019b0c7", "b70a2f5635c6199aeaa28c31d7202e1f",
             "2defd784463fa5243564e855ed717de1", "8974907d8e169bef5f5b96bc506ae45d"),
        licence="CC BY-NC 4.0",
        cautions=(
            "Images of one lesion stand in train, val and test (Abhishek, Jain and Hamarneh, Scientific Data 12:196, "
            "2025), so that scores on its official test split are too high for lesions that were not seen.",
        ),
    ),
    _row(
        "octmnist", "OCTMNIST: cross-sections of the retina", "OCT",
        MultiClass(("choroidal neovascularization", "diabetic macular edema", "drusen", "normal")),
        channels=1, samples=(97477, 10832, 1000),
        md5=("c68d92d5b585d8d81f7112f81e2d0842", "e229e9440236b774d9f0dfef9d07bdaf",
             "0a97e76651ace45c5d943ee3f65b63ae", "abc493b6d529d5de7569faaef2773ba3"),
    ),
    _row(
        "pneumoniamnist", "PneumoniaMNIST: chest radiographs of children", "film",
        Binary(("normal", "pneumonia"), finding="pneumonia"),
        channels=1, samples=(4708, 524, 624),
        md5=("28209eda62fecd6e6a2d98b1501bb15f", "8f4eceb4ccffa70c672198ea285246c6",
             "05b46931834c231683c68f40c47b2971", "d6a3c71de1b945ea11211b03746c1fe1"),
    ),
    _row(
        "retinamnist", "RetinaMNIST: diabetic retinopathy on fundus photographs", "fundus",
        Ordinal(GRADES, referable=2),
        channels=3, samples=(1080, 120, 400),
        md5=("bd4c0672f1bba3e3a89f0e4e876791e4", "afda852cc34dcda56f86ad2b2457dbcc",
             "e48e916a24454daf90583d4e6efb1a18", "eae7e3b6f3fcbda4ae613ebdcbe35348"),
        # docs/retina-28.md, "Much of the signal lies around the eye".
        cautions=(
            "The dark surround of the eye alone ranks grades with an AUC of 0.74 (cross-validated on train at 28 "
            "px), most likely because it tells the camera, so a score on this set should not be counted on with "
            "another camera.",
            "Its source, DeepDRiD, has four photographs of each patient, two views of each eye with one grade an "
            "eye, and the file does not say whose an image is: 400 test images are 100 patients. Standard errors are "
            "1.2 to 1.55 times those of independent images (intervals here take 1.55), and cross-validation by image "
            "promises too much.",
        ),
        images_per_patient=4,
    ),
    _row(
        "breastmnist", "BreastMNIST: breast ultrasound", "ultrasound",
        Binary(("malignant", "normal, benign"), finding="malignant"),
        channels=1, samples=(546, 78, 156),
        md5=("750601b1f35ba3300ea97c75c52ff8f6", "742edef2a1fd1524b2efff4bd7ba9364",
             "363e4b3f8d712e9b5de15470a2aaadf1", "b56378a6eefa9fed602bb16d192d4c8b"),
    ),
    _row(
        "bloodmnist", "BloodMNIST: single blood cells", "blood smear",
        MultiClass((
            "basophil", "eosinophil", "erythroblast",
            "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)", "lymphocyte", "monocyte",
            "neutrophil", "platelet"
        )),
        channels=3, samples=(11959, 1712, 3421),
        md5=("7053d0359d879ad8a5505303e11de1dc", "2b94928a2ae4916078ca51e05b6b800b",
             "adace1e0ed228fccda1f39692059dd4c", "b718ff6835fcbdb22ba9eacccd7b2601"),
    ),
    _row(
        "tissuemnist", "TissueMNIST: single cells of the kidney cortex", "kidney cortex microscope",
        MultiClass((
            "Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule", "Glomerular endothelial cells",
            "Interstitial endothelial cells", "Leukocytes", "Podocytes", "Proximal Tubule Segments",
            "Thick Ascending Limb"
        )),
        channels=1, samples=(165466, 23640, 47280),
        md5=("ebe78ee8b05294063de985d821c1c34b", "123ece2eba09d0aa5d698fda57103344",
             "61b955355d7425a89687b06cca3ce0c2", "b077128c4a949f0a4eb01517f9037b9c"),
    ),
    _row(
        "organamnist", "OrganAMNIST: abdominal organs, axial", "abdominal CT",
        MultiClass(ORGANS),
        channels=1, samples=(34561, 6491, 17778),
        md5=("68e3f8846a6bd62f0c9bf841c0d9eacc", "2dcccc29b88e6da5a01161ef20cda288",
             "eeae80d0a227a8d099027e1b3cfd3b60", "50747347e05c87dd3aaf92c49f9f3170"),
    ),
    _row(
        "organcmnist", "OrganCMNIST: abdominal organs, coronal", "abdominal CT",
        MultiClass(ORGANS),
        channels=1, samples=(12975, 2392, 8216),
        md5=("b9ceb9546e10131b32923c5bbeaea2b1", "3ce34a8724ea6f548e6db4744d03b6a9",
             "773c1f009daa3fe5d9a2a201b2a7ed94", "050f5e875dc056f6768abf94ec9995d1"),
    ),
    _row(
        "organsmnist", "OrganSMNIST: abdominal organs, sagittal", "abdominal CT",
        MultiClass(ORGANS),
        channels=1, samples=(13932, 2452, 8827),
        md5=("9ab87b696fb54e2a387ebe992d6ed5f1", "53a6d115339d874c25e309a994ff46d3",
             "ded0c5fa01a95dc4978b956f613e9b8e", "b354719e553fbbb2513d5533f52a4cb1"),
    ),
    _row(
        "retina-phantom", "Drawn fundus photographs, graded by their lesions", "fundus",
        Ordinal(GRADES, referable=2),
        channels=3, samples=(1080, 120, 400), licence="Apache-2.0", source=_DRAWN,
    ),
    _row(
        "chest-phantom", "Drawn chest radiographs with known findings", "film",
        MultiLabel(FINDINGS),
        channels=1, samples=(2000, 300, 600), licence="Apache-2.0", source=_DRAWN,
    ),
)
# fmt: on

CATALOG: Mapping[str, DatasetInfo] = {row.name: row for row in _ROWS}


def dataset_info(name: str | Path) -> DatasetInfo:
    """Say what is known of a dataset, by its name or by the path of its description, without opening its images.

    UnknownNameError for another name; DataError for a description that is not valid.
    """
    known = find_dataset(name)
    return known.info if isinstance(known, Description) else known


def find_dataset(name: str | Path) -> DatasetInfo | Description:
    """Find a dataset's row in the catalog, or its description: by path, in PENLIGHT_DATA, or shipped.

    UnknownNameError and DataError as in `dataset_info`.
    """
    if str(name) in CATALOG:
        return CATALOG[str(name)]
    description = find_description(name)
    if description is None:
        raise UnknownNameError("dataset", str(name), {*CATALOG, *described_names()})
    return description


def referenced(reference: str) -> str | Path:
    """Give what `find_dataset` finds the dataset of a recipe by: its name, or the path of its description, below the
    working folder or where the user named it. DataError for another path."""
    if is_name(reference):
        return reference
    if (path := find_reference(reference)) is not None:
        return path
    name = Path(reference).name
    raise DataError(
        f"The dataset {name} is not below the working folder, and no command on this machine has opened it.",
        f"Work in the folder that {reference} is meant from, or open it once: penlight data show PATH/{name}",
    )


def reference_of(dataset: str) -> str:
    """Give the name by which a recipe keeps the dataset that the user named, and remember where it is: a path is
    given from the working folder, and of one that leads out of it only the last name.

    DataError if there is no such description.
    """
    if is_portable(dataset):
        return dataset
    description = find_description(dataset)
    return dataset if description is None else reference_to(description.file)


def info_of_reference(reference: str) -> DatasetInfo:
    """Say what is known of the dataset that a recipe names. Errors as in `dataset_info` and `referenced`."""
    return dataset_info(referenced(reference))


def portable(reference: str) -> str:
    """Give what a recipe, which may be of an earlier version, names its dataset by, without a path of this machine.
    DataError for a path that `referenced` does not follow."""
    return reference if is_portable(reference) else reference_of(str(referenced(reference)))


def is_portable(name: str) -> bool:
    """Say whether a name in a recipe is no path, or one from the working folder."""
    path = Path(name)
    return is_name(name) or not (path.is_absolute() or ".." in path.parts)


def is_phantom(info: DatasetInfo) -> bool:
    """Say whether a dataset is drawn rather than read from a file."""
    return info.source == _DRAWN


def official_file(name: str, size: int) -> str:
    """Name the official file of a MedMNIST set: retinamnist.npz at 28 pixels, retinamnist_64.npz at 64."""
    return f"{name}.npz" if size == SIZES[0] else f"{name}_{size}.npz"


def official_url(name: str, size: int) -> str:
    """Give the address of an official file."""
    return f"{BASE_URL}/{official_file(name, size)}?download=1"
