"""Names that drawn datasets share with those of patients: the splits, and the findings of ChestMNIST."""

SPLITS = ("train", "val", "test")

FINDINGS = (
    "atelectasis",
    "cardiomegaly",
    "effusion",
    "infiltration",
    "mass",
    "nodule",
    "pneumonia",
    "pneumothorax",
    "consolidation",
    "edema",
    "emphysema",
    "fibrosis",
    "pleural thickening",
    "hernia",
)
