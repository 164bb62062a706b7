"""Published datasets open by one line each: the lines of docs/how-to/published-sets.md, on drawn replicas with the
folders, names and tables that the publishers describe."""

import csv
import gzip
import json
import re
import shlex
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from penlight.data import Dataset, open_dataset
from tests.cli.conftest import penlight  # noqa: F401
from tests.data.test_dicom import dicom as dicom_bytes

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "published-sets.md"
LINES = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
RANDOM = np.random.default_rng(0)
SETS: dict[str, tuple[Callable[[], None], Callable[[Dataset], None]]] = {}


def replica(word: str, check: Callable[[Dataset], None]) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Say which line of the page, by a word in it, opens what a function draws, and what it must be."""

    def register(draw: Callable[[], None]) -> Callable[[], None]:
        SETS[word] = (draw, check)
        return draw

    return register


def picture(path: str, mode: str = "L") -> None:
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 256, (28, 28), np.uint8)).convert(mode).save(place)


def table(path: str, head: Sequence[object], rows: Sequence[Sequence[object]]) -> None:
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    opened = gzip.open if place.suffix == ".gz" else open
    with opened(place, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\r\n").writerows([head, *rows])


def total(dataset: Dataset) -> int:
    return sum(map(len, dataset.splits.values()))


def sizes(dataset: Dataset) -> tuple[int, ...]:
    return tuple(map(len, dataset.splits.values()))


def expect(
    task: str, labels: Sequence[str], images: int | tuple[int, ...], *, patients: int | None = None
) -> Callable[[Dataset], None]:
    """Expect a task, its labels, its images in all or of each split, and the number of patients."""

    def check(dataset: Dataset) -> None:
        assert (dataset.info.task.kind, dataset.info.task.labels) == (task, tuple(labels))
        assert (total(dataset) if isinstance(images, int) else sizes(dataset)) == images
        known = [split.patients for split in dataset.splits.values() if split.patients is not None]
        assert (len(set(np.concatenate(known).tolist())) if known else None) == patients

    return check


GRADES = ("0", "1", "2", "3", "4")


@replica("aptos2019", expect("ordinal", GRADES, 40))
def aptos() -> None:
    rows = [(f"{i * 7919:012x}", i % 5) for i in range(40)]
    for name, _ in rows:
        picture(f"aptos2019/train_images/{name}.png", "RGB")
    for i in range(6):
        picture(f"aptos2019/test_images/t{i}.png", "RGB")
    table("aptos2019/train.csv", ["id_code", "diagnosis"], rows)
    table("aptos2019/test.csv", ["id_code"], [[f"t{i}"] for i in range(6)])
    table("aptos2019/sample_submission.csv", ["id_code", "diagnosis"], [[f"t{i}", 0] for i in range(6)])


@replica("eyepacs", expect("ordinal", GRADES, 60, patients=30))
def eyepacs() -> None:
    rows = [(f"{10 + i}_{side}", i % 5) for i in range(30) for side in ("left", "right")]
    for name, _ in rows:
        picture(f"eyepacs/train/{name}.jpeg", "RGB")
    table("eyepacs/trainLabels.csv", ["image", "level"], rows)


@replica("messidor2", expect("ordinal", GRADES, 38))
def messidor() -> None:
    rows = []
    for i in range(40):
        written, ending = (f"IM{i:06d}.JPG", "jpg") if i % 2 else (f"20051020_{i:05d}_0100_PP.png", "png")
        picture(f"messidor2/IMAGES/{Path(written).stem}.{ending}", "RGB")
        rows.append([written, *(["", "", 0] if i in (3, 9) else [i % 5, int(i % 5 > 2), 1])])
    head = ["image_id", "adjudicated_dr_grade", "adjudicated_dme", "adjudicated_gradable"]
    table("messidor2/messidor_data.csv", head, rows)


@replica("B. Disease Grading", expect("ordinal", GRADES, (35, 5, 20)))
def idrid() -> None:
    root = "B. Disease Grading"
    for split, letter, n in (("Training", "a", 40), ("Testing", "b", 20)):
        rows = [[f"IDRiD_{i + 1:03d}", i % 5, i % 3, *[""] * 9] for i in range(n)]
        for row in rows:
            picture(f"{root}/1. Original Images/{letter}. {split} Set/{row[0]}.jpg", "RGB")
        head = ["Image name", "Retinopathy grade", "Risk of macular edema ", *[""] * 9]
        table(f"{root}/2. Groundtruths/{letter}. IDRiD_Disease Grading_{split} Labels.csv", head, rows)
    for name in ("CC-BY-4.0.txt", "LICENSE.txt"):
        Path(root, name).write_text("licence")


@replica("odir5k", expect("multi-class", sorted("NDGCAHMO"), 80, patients=40))
def odir() -> None:
    rows = []
    for i in range(40):
        of = "NDGCAHMO"
        for side in ("left", "right"):
            own = of[(i + (side == "left")) % 8]
            file = f"{i}_{side}.jpg"
            for folder in ("ODIR-5K/ODIR-5K/Training Images", "preprocessed_images"):
                picture(f"odir5k/{folder}/{file}", "RGB")
            both = {of[i % 8], of[(i + 1) % 8]}
            rows.append([
                i, 50 + i, ("Male", "Female")[i % 2], f"{i}_left.jpg", f"{i}_right.jpg", "cataract", "normal fundus",
                *(int(each in both) for each in of),
                f"../input/ocular-disease-recognition-odir5k/ODIR-5K/Training Images/{file}", f"['{own}']",
                str([int(each == own) for each in of]), file,
            ])  # fmt: skip
    head = ["ID", "Patient Age", "Patient Sex", "Left-Fundus", "Right-Fundus", "Left-Diagnostic Keywords"]
    head += ["Right-Diagnostic Keywords", *"NDGCAHMO", "filepath", "labels", "target", "filename"]
    table("odir5k/full_df.csv", head, rows)


@replica("nih/", expect("multi-label", ["Hernia", "Infiltration", "Mass"], (34, 6, 20), patients=30))
def nih() -> None:
    cells, rows = ("No Finding", "Infiltration", "Hernia|Infiltration", "Mass"), []
    for i in range(60):
        name = f"{i // 2 + 1:08d}_{i % 2:03d}.png"
        picture(f"nih/images_{1 + i // 30:03d}/images/{name}", "RGBA" if i == 7 else "L")
        rows.append([name, cells[(i // 2) % 4], i % 2, i // 2 + 1, f"{30 + i // 2:03d}Y", "MF"[i // 2 % 2], "PA",
                     2682, 2749, 0.143, 0.143, ""])  # fmt: skip
    head = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender",
            "View Position", "OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]", ""]  # fmt: skip
    table("nih/Data_Entry_2017.csv", head, rows)
    table("nih/BBox_List_2017.csv", ["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", ""], [
        ["00000003_000.png", "Mass", 1, 2, 3, 4, "", ""],
    ])  # fmt: skip
    for name, chosen in (("train_val_list", rows[:40]), ("test_list", rows[40:])):
        Path(f"nih/{name}.txt").write_text("\n".join(row[0] for row in chosen))
    Path("nih/README_CHESTXRAY.pdf").write_bytes(b"%PDF")


@replica("MURA", expect("binary", ["negative", "positive"], (34, 10, 9), patients=17))
def mura() -> None:
    for split, first, n in (("train", 1, 14), ("valid", 11185, 3)):
        images, studies = [], []
        for i in range(n):
            study = f"MURA-v1.1/{split}/XR_{('SHOULDER', 'WRIST')[i % 2]}/patient{first + i:05d}/"
            study += f"study1_{('positive', 'negative')[i // 2 % 2]}"
            studies.append([f"{study}/", 1 - i // 2 % 2])
            for k in range(3 + (i == 0)):
                picture(f"{study}/image{k + 1}.png")
                images.append([f"{study}/image{k + 1}.png"])
        table(f"MURA-v1.1/{split}_image_paths.csv", images[0], images[1:])
        table(f"MURA-v1.1/{split}_labeled_studies.csv", studies[0], studies[1:])


FOURTEEN = ["No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
            "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other",
            "Fracture", "Support Devices"]  # fmt: skip
FINDINGS = FOURTEEN[1:]


def fourteen(i: int) -> list[str]:
    """Cells as the labeller of CheXpert writes them: 1.0, 0.0, -1.0 or nothing."""
    return ["1.0" if i % 7 == 0 else "", *(("1.0", "", "0.0", "-1.0")[(i + j) % 4] for j in range(13))]


@replica("CheXpert", expect("multi-label", sorted(FINDINGS), (48, 10, 12), patients=35))
def chexpert() -> None:
    head = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FOURTEEN]
    for split, first, n in (("train", 1, 60), ("valid", 64541, 10)):
        rows = []
        for i in range(n):
            view = "frontal" if i % 2 == 0 else "lateral"
            path = f"CheXpert-v1.0-small/{split}/patient{first + i // 2:05d}/study1/view{1 + i % 2}_{view}.jpg"
            picture(path)
            cells = fourteen(i) if split == "train" else [("1.0", "0.0")[(i + j) % 2] for j in range(14)]
            rows.append([path, ("Female", "Male")[i % 2], 68, view.title(), "AP" if i % 2 == 0 else "", *cells])
        table(f"CheXpert-v1.0-small/{split}.csv", head, rows)


@replica("mimic", expect("multi-label", sorted(FINDINGS), (30, 8, 20), patients=29))
def mimic() -> None:
    splits, labels = [], []
    for i in range(60):
        subject, study = 10000032 + i // 2, 50414267 + i // 2
        split = "train" if i < 30 else "validate" if i < 38 else "test"
        dicom = f"{i:08x}-{i:08x}-b77210e9-64be1bb2-3a0bd26a"
        picture(f"mimic-cxr-jpg/files/p10/p{subject}/s{study}/{dicom}.jpg")
        splits.append([dicom, study, subject, split])
        # A study that the labeller gave nothing.
        if i % 2 == 0 and i != 58:
            labels.append([subject, study, *(fourteen(i // 2)[FOURTEEN.index(name)] for name in sorted(FOURTEEN))])
    table("mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz", ["dicom_id", "study_id", "subject_id", "split"], splits)
    head = ["subject_id", "study_id", *sorted(FOURTEEN)]
    table("mimic-cxr-jpg/mimic-cxr-2.0.0-chexpert.csv.gz", head, labels)
    table("mimic-cxr-jpg/mimic-cxr-2.0.0-negbio.csv.gz", head, labels)
    meta = ["dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows",
            "Columns", "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
            "PatientOrientationCodeSequence_CodeMeaning"]  # fmt: skip
    table("mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz", meta, [
        [row[0], row[2], row[1], "CHEST (PA AND LAT)", "PA", 3056, 2544, 21800506, 213014.531, "CHEST (PA AND LAT)",
         "postero-anterior", "Erect"] for row in splits
    ])  # fmt: skip
    table("mimic-cxr-jpg/mimic-cxr-2.1.0-test-set-labeled.csv", ["study_id", "Airspace Opacity"], [[50414267, "1.0"]])
    names = (path.relative_to("mimic-cxr-jpg").as_posix() for path in Path("mimic-cxr-jpg").rglob("*.jpg"))
    Path("mimic-cxr-jpg/IMAGE_FILENAMES").write_text("\n".join(names))


@replica("padchest", expect("multi-label", ["cardiomegaly", "kyphosis", "pleural effusion"], 39, patients=20))
def padchest() -> None:
    cells = (
        "['normal']",
        "['cardiomegaly']",
        "['pleural effusion', ' cardiomegaly', '']",
        "['kyphosis', 'kyphosis']",
    )
    rows = []
    for i in range(40):
        image = f"{216840111366964012 + i}_00-078-079.png"
        picture(f"padchest/{i % 3}/{image}")
        labels = "" if i == 7 else cells[(i // 2) % 4]
        said = ["sin hallazgo", "Physician", labels, "['loc left']", f"[{labels}]", "[]", "[]"]
        rows.append([i, image, i % 3, 20140915, f"S{i}", f"P{i // 2}", 1930.0, "M", "PA", "PA", "Manual review", "No",
                     "CR", "Philips", "MONOCHROME2", 0, "", "", 12, 2048, 4096, 2140, 1760, 2, 4, "", "", 0,
                     4765777 + i, *said])  # fmt: skip
    head = ["", "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth", "PatientSex_DICOM",
            "ViewPosition_DICOM", "Projection", "MethodProjection", "Pediatric", "Modality_DICOM",
            "Manufacturer_DICOM", "PhotometricInterpretation_DICOM", "PixelRepresentation_DICOM",
            "PixelAspectRatio_DICOM", "SpatialResolution_DICOM", "BitsStored_DICOM", "WindowCenter_DICOM",
            "WindowWidth_DICOM", "Rows_DICOM", "Columns_DICOM", "XRayTubeCurrent_DICOM", "Exposure_DICOM",
            "ExposureInuAs_DICOM", "ExposureTime", "RelativeXRayExposure_DICOM", "ReportID", "Report", "MethodLabel",
            "Labels", "Localizations", "LabelsLocalizationsBySentence", "labelCUIS", "LocalizationsCUIS"]  # fmt: skip
    table("padchest/PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", head, rows)


@replica("rsna", expect("binary", ["0", "1"], 30, patients=30))
def rsna() -> None:
    boxes, classes = [], []
    for i in range(30):
        patient = f"{i:08d}-6a4c-4d6d-b1c9-{i:012d}"
        Path("rsna/stage_2_train_images").mkdir(parents=True, exist_ok=True)
        Path(f"rsna/stage_2_train_images/{patient}.dcm").write_bytes(dicom_bytes())
        for box in range(1 + i % 2):
            boxes.append([patient, *([264.0 + box, 152.0, 213.0, 379.0, 1] if i % 2 else ["", "", "", "", 0])])
            kinds = ("No Lung Opacity / Not Normal", "Lung Opacity", "Normal", "Lung Opacity")
            classes.append([patient, kinds[i % 4]])
    table("rsna/stage_2_train_labels.csv", ["patientId", "x", "y", "width", "height", "Target"], boxes)
    table("rsna/stage_2_detailed_class_info.csv", ["patientId", "class"], classes)
    Path("rsna/stage_2_test_images").mkdir()
    Path("rsna/stage_2_test_images/0000a175.dcm").write_bytes(dicom_bytes())
    table("rsna/stage_2_sample_submission.csv", ["patientId", "PredictionString"], [["x", "0.5 0 0 100 100"]])


@replica("vindr", expect("multi-label", ["Aortic enlargement", "Other disease", "Pleural effusion"], (36, 4, 10)))
def vindr() -> None:
    findings = ["Aortic enlargement", "Pleural effusion", "Other diseases", "No finding"]
    rows: dict[str, list[list[object]]] = {"train": [], "test": []}
    for split, n in (("train", 40), ("test", 10)):
        for i in range(n):
            image = f"{split[1]}{i:031x}"
            Path(f"vindr-cxr/{split}").mkdir(parents=True, exist_ok=True)
            Path(f"vindr-cxr/{split}/{image}.dicom").write_bytes(dicom_bytes())
            for reader in range(8, 11) if split == "train" else [None]:
                votes = [int(i % 4 == j or (i % 4, j) == (2, 0)) for j in range(4)]
                if reader == 9:
                    votes = [0, 0, 0, 1]
                rows[split].append([image, *([f"R{reader}"] if reader else []), *votes])
    table("vindr-cxr/annotations/image_labels_train.csv", ["image_id", "rad_id", *findings], rows["train"])
    # The two tables call one finding in two ways.
    others = ["Other disease" if name == "Other diseases" else name for name in findings]
    table("vindr-cxr/annotations/image_labels_test.csv", ["image_id", *others], rows["test"])
    for split, extra in (("train", ["rad_id"]), ("test", [])):
        head = ["image_id", *extra, "class_name", "x_min", "y_min", "x_max", "y_max"]
        lines = [[row[0], *extra, "Aortic enlargement", 1, 2, 3, 4] for row in rows[split]]
        table(f"vindr-cxr/annotations/annotations_{split}.csv", head, lines)
    Path("vindr-cxr/LICENSE.txt").write_text("licence")


@replica("COVID-19", expect("multi-class", ["COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"], 40))
def covid() -> None:
    for label in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"):
        for i in range(10):
            for kind in ("images", "masks"):
                picture(f"COVID-19_Radiography_Dataset/{label}/{kind}/{label}-{i + 1}.png")
        # It says where the images are from, and is no table of labels.
        book = Path(f"COVID-19_Radiography_Dataset/{label}.metadata.xlsx")
        book.write_bytes(b"PK\x03\x04")
        if find_spec("openpyxl"):
            import openpyxl

            workbook = openpyxl.Workbook()
            rows = [[f"{label}-{i + 1}", "PNG", "256*256", "https://sirm.org"] for i in range(10)]
            for row in (["FILE NAME", "FORMAT", "SIZE", "URL"], *rows):
                workbook.active.append(row)
            workbook.save(book)
    Path("COVID-19_Radiography_Dataset/README.md.txt").write_text("read me")


@replica("chest_xray", expect("binary", ["NORMAL", "PNEUMONIA"], (32, 4, 12)))
def kermany() -> None:
    for root in ("chest_xray", "chest_xray/chest_xray"):
        for split, n in (("train", 16), ("val", 2), ("test", 6)):
            for i in range(n):
                picture(f"{root}/{split}/NORMAL/IM-{i:04d}-0001.jpeg")
                picture(f"{root}/{split}/PNEUMONIA/person{i}_{('bacteria', 'virus')[i % 2]}_{i + 1}.jpeg")
            Path(f"{root}/{split}/.DS_Store").write_bytes(b"x")
    Path("chest_xray/__MACOSX/chest_xray/train").mkdir(parents=True)
    picture("chest_xray/__MACOSX/chest_xray/train/x.jpeg")


@replica("OCT2017", expect("multi-class", ["CNV", "DME", "DRUSEN", "NORMAL"], 48, patients=24))
def kermany_oct() -> None:
    # The folder's name ends in a blank.
    for root in ("kermany2018/OCT2017 ", "kermany2018/oct2017/OCT2017 "):
        for number, (split, n) in enumerate((("train", 8), ("val", 2), ("test", 2))):
            for label in ("CNV", "DME", "DRUSEN", "NORMAL"):
                for i in range(n):
                    person = 1016042 + 1000 * number + 4 * (i // 2) + ["CNV", "DME", "DRUSEN", "NORMAL"].index(label)
                    picture(f"{root}/{split}/{label}/{label}-{person}-{i + 1}.jpeg")


@replica("ham10000", expect("multi-class", ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"], 70, patients=35))
def ham() -> None:
    kinds, rows = ("bkl", "nv", "df", "mel", "vasc", "bcc", "akiec"), []
    for i in range(70):
        picture(f"ham10000/HAM10000_images_part_{1 + i % 2}/ISIC_{24306 + i:07d}.jpg", "RGB")
        rows.append([f"HAM_{i // 2:07d}", f"ISIC_{24306 + i:07d}", kinds[i // 2 % 7], "histo", "" if i == 3 else 80.0,
                     "male", "scalp", "vidir_modern"])  # fmt: skip
        picture(f"ham10000/HAM10000_segmentations_lesion_tschandl/ISIC_{24306 + i:07d}_segmentation.png")
    head = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset"]
    # As the Harvard Dataverse has it, without an ending.
    table("ham10000/HAM10000_metadata", head, rows)
    table("ham10000/ISIC2018_Task3_Test_GroundTruth.csv", head, [["HAM_9", "ISIC_0034524", "nv", "follow_up", 40.0,
                                                                  "female", "back", "vidir_modern"]])  # fmt: skip
    table("ham10000/hmnist_8_8_L.csv", [*(f"pixel{i:04d}" for i in range(64)), "label"], [[1] * 65])


@replica("isic2019", expect("multi-class", ["AK", "BCC", "BKL", "DF", "MEL", "NV", "SCC", "VASC"], 80, patients=42))
def isic() -> None:
    kinds = ["MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"]
    truth, metadata = [], []
    for i in range(80):
        name = f"ISIC_{i:07d}{'_downsampled' * (i % 5 == 0)}"
        picture(f"isic2019/ISIC_2019_Training_Input/{name}.jpg", "RGB")
        truth.append([name, *(float(i // 2 % 8 == j) for j in range(9))])
        metadata.append([name, 55.0, "anterior torso", "" if i in (0, 1, 2) else f"MSK4_{i // 2:07d}", "female"])
    table("isic2019/ISIC_2019_Training_GroundTruth.csv", ["image", *kinds], truth)
    head = ["image", "age_approx", "anatom_site_general", "lesion_id", "sex"]
    table("isic2019/ISIC_2019_Training_Metadata.csv", head, metadata)


@replica("BreaKHis", expect("binary", ["benign", "malignant"], 64, patients=16))
def breakhis() -> None:
    kinds = {"benign": ("adenosis", "fibroadenoma"), "malignant": ("ductal_carcinoma", "lobular_carcinoma")}
    for label, own in kinds.items():
        for j, kind in enumerate(own):
            for slide in range(4):
                code = f"{label[0].upper()}_{kind[0].upper()}"
                number = f"14-{22549 + slide + 10 * j}{'AB' * (slide % 2)}"
                for power in (40, 100, 200, 400):
                    folder = f"SOB/{kind}/SOB_{code}_{number}/{power}X"
                    name = f"SOB_{code}-{number}-{power}-001.png"
                    picture(f"BreaKHis_v1/histology_slides/breast/{label}/{folder}/{name}", "RGB")
    Path("BreaKHis_v1/histology_slides/breast/count_files.m").write_text("% count")


@replica("lung_colon", expect("multi-class", ["colon_aca", "colon_n", "lung_aca", "lung_n", "lung_scc"], 60))
def lc25000() -> None:
    for organ, kinds in (("colon", ("aca", "n")), ("lung", ("aca", "n", "scc"))):
        for kind in kinds:
            for i in range(12):
                name = "colonca" if (organ, kind) == ("colon", "aca") else f"{organ}{kind}"
                place = f"lung_colon_image_set/{organ}_image_sets/{organ}_{kind}/{name}{i + 1}.jpeg"
                picture(place, "RGB")


@replica("BUSI", expect("multi-class", ["benign", "malignant", "normal"], 36))
def busi() -> None:
    for label in ("benign", "malignant", "normal"):
        for i in range(12):
            for mask in ("", "_mask", *(["_mask_1"] if i == 3 else [])):
                picture(f"Dataset_BUSI_with_GT/{label}/{label} ({i + 1}){mask}.png", "RGB" if not mask else "L")


@replica("pcam", expect("binary", ["0", "1"], (40, 16, 16), patients=18))
def patch_camelyon() -> None:
    h5py = pytest.importorskip("h5py")
    Path("pcam").mkdir()
    for split, n in (("train", 40), ("valid", 16), ("test", 16)):
        name = f"pcam/camelyonpatch_level_2_split_{split}"
        with h5py.File(f"{name}_x.h5", "w") as file:
            file.create_dataset("x", data=RANDOM.integers(0, 256, (n, 96, 96, 3), np.uint8), compression="gzip")
        with h5py.File(f"{name}_y.h5", "w") as file:
            file.create_dataset("y", data=(np.arange(n, dtype=np.uint8) % 2).reshape(n, 1, 1, 1), compression="gzip")
        head = ["", "coord_y", "coord_x", "tumor_patch", "center_tumor_patch", "wsi"]
        rows = [[i, 9 * i, 7, i % 2 == 1, i % 2 == 1, f"camelyon16_{split}_normal_{i // 4:03d}"] for i in range(n)]
        table(f"{name}_meta.csv", head, rows)


@replica("hub-skin", expect("multi-class", ["melanoma", "naevus", "wart"], (40, 12, 16)))
def hugging_face() -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    names = {"_type": "ClassLabel", "names": ["melanoma", "naevus", "wart"]}
    about = json.dumps({"info": {"features": {"image": {"_type": "Image"}, "label": names}}})
    for part, n in {"train-00000-of-00002": 24, "train-00001-of-00002": 16, "validation-00000-of-00001": 12,
                    "test-00000-of-00001-12fbee7b981cecdc": 16}.items():  # fmt: skip
        cells = []
        for i in range(n):
            picture("drawn.jpg", "RGB")
            cells.append({"bytes": Path("drawn.jpg").read_bytes(), "path": f"{part}-{i}.jpg" if i % 2 else None})
        Path("drawn.jpg").unlink()
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        rows = pa.table({"image": pa.array(cells, kind), "label": [i % 3 for i in range(n)]})
        Path("hub-skin-lesions/data").mkdir(parents=True, exist_ok=True)
        place = f"hub-skin-lesions/data/{part}.parquet"
        pq.write_table(rows.replace_schema_metadata({"huggingface": about}), place, row_group_size=100)
    Path("hub-skin-lesions/README.md").write_text("---\nlicense: cc-by-4.0\n---\n")


LIGHT = {"B. Disease Grading", "CheXpert", "isic2019"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("word", [pytest.param(w, marks=[] if w in LIGHT else pytest.mark.full) for w in SETS])
def test_a_replica_opens_by_the_line_of_the_page(place: Path, penlight, word: str) -> None:  # noqa: F811
    (line,) = [line for line in LINES if word in line]
    draw, check = SETS[word]
    draw()
    words = shlex.split(line.replace("\\\n", " "))
    code, out, err = penlight(*words[1:])
    assert (code, err) == (0, ""), out + err
    (description,) = Path().glob("*.toml")
    check(open_dataset(description))


def test_every_line_of_the_page_has_a_replica() -> None:
    assert [line for line in LINES if sum(word in line for word in SETS) != 1] == []
    assert len(LINES) == len(SETS)
