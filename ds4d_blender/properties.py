# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist chooses in the panel, kept with the scene."""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

SOURCES = (
    ("CLIP", "Video or Pictures", "One video, or a folder of pictures, of one subject"),
    ("DATASET", "Several Cameras", "A folder of pictures or videos from cameras all around"),
    ("SCENE", "This Scene", "Render this scene from many cameras first"),
)
MASKS = (
    ("AUTO", "Find It", "Use transparency if there is any; else find the subject by itself"),
    ("ALPHA", "Transparency", "The pictures are transparent where the subject is not"),
    ("PLAIN", "Plain Background", "The background has one colour"),
    ("GRABCUT", "Moving Subject", "The subject moves before a room that does not"),
    ("FOLDER", "Mask Pictures", "A folder of pictures that are white where the subject is"),
    ("NONE", "Everything", "Nothing is cut out: the whole picture is the subject"),
)
SUBJECTS = (
    ("ALL", "All", "Everything that renders"),
    ("OBJECT", "Object", "One object with its children"),
    ("COLLECTION", "Collection", "The objects of one collection"),
)
RIGS = (
    ("DOME", "Dome", "Cameras all around, a little above and below the middle"),
    ("ORBIT", "Orbit", "Cameras on one circle around the subject"),
    ("SCENE", "Scene Cameras", "The cameras that stand in the scene, as they are"),
)
PRESETS = (
    ("DRAFT", "Draft", "Minutes: enough to judge the outline, the sides and the motion"),
    ("STANDARD", "Standard", "The usual quality"),
    ("HIGH", "High", "The best quality, several times slower than Standard"),
)
DEVICES = (
    ("AUTO", "Automatic", "The graphics card where there is a fitting one, else the processor"),
    ("CPU", "Processor", "The processor, even where there is a graphics card"),
    ("GSPLAT", "Graphics Card", "The graphics card; it must be one of NVIDIA's"),
)
BACKS = (
    ("AUTO", "Automatic", "The outline decides"),
    ("RIM", "From the Outline", "Colours of the outline: for what faces the camera"),
    ("MIRROR", "From the Front", "Colours of the front: for what is seen from its side"),
)


class DS4D_Settings(bpy.types.PropertyGroup):
    """The source, the frames and the quality of the next fit"""

    source: EnumProperty(name="Source", items=SOURCES, description="What the clip is made of")
    clip: StringProperty(
        name="Clip",
        description="A video, or a folder of pictures that are numbered",
        subtype="FILE_PATH",
    )
    dataset: StringProperty(
        name="Folder",
        description="A folder with pictures or videos of several cameras, and where they stand",
        subtype="DIR_PATH",
    )
    frame_start: IntProperty(
        name="First", description="First frame to take; the clip's own first is 0", min=0
    )
    frame_end: IntProperty(
        name="End", description="Frame to stop before; 0 goes on to the clip's end", min=0
    )
    stride: IntProperty(
        name="Every", description="1 takes every frame, 2 every second one", default=1, min=1
    )
    mask: EnumProperty(
        name="Subject", items=MASKS, description="How the subject is told from its background"
    )
    masks: StringProperty(
        name="Masks",
        description="A folder with one picture for each frame, white where the subject is",
        subtype="DIR_PATH",
    )

    subject: EnumProperty(name="Subject", items=SUBJECTS, description="What is captured")
    subject_object: PointerProperty(
        name="Object", type=bpy.types.Object, description="The object, with its children"
    )
    subject_collection: PointerProperty(
        name="Collection", type=bpy.types.Collection, description="The collection to capture"
    )
    rig: EnumProperty(name="Cameras", items=RIGS, description="From where the scene is rendered")
    cameras: IntProperty(
        name="Number", description="How many cameras to fit", default=12, min=1, soft_max=64
    )
    times: IntProperty(
        name="Times",
        description="How many moments to render between the scene's first and last frame; "
        "0 takes as many as the motion needs",
        min=0,
    )
    size: IntProperty(
        name="Size",
        description="Longer side of the rendered pictures",
        default=128,
        min=16,
        soft_max=1024,
        subtype="PIXEL",
    )
    samples: IntProperty(
        name="Samples", description="Samples for each pixel in Cycles", default=32, min=1
    )

    preset: EnumProperty(name="Quality", items=PRESETS, description="Quality against time")
    output: StringProperty(
        name="Output",
        description="The .ds4d file to write; left empty, it is named after the source",
        subtype="FILE_PATH",
    )
    live: BoolProperty(
        name="Live Preview",
        description="Put the object into the scene at once, and let it improve while it is fitted",
        default=True,
    )

    device: EnumProperty(name="Device", items=DEVICES, description="What does the work")
    minutes: FloatProperty(
        name="Minutes",
        description="End the fit after so many minutes; 0 takes as long as the quality needs",
        min=0.0,
        precision=1,
    )
    splats: IntProperty(
        name="Most Splats",
        description="How many splats the fit may reach; 0 leaves it to the quality",
        min=0,
    )
    pixels: IntProperty(
        name="Picture Size",
        description="Longest side of the pictures that are fitted; 0 leaves it to the quality",
        min=0,
    )
    thickness: FloatProperty(
        name="Thickness",
        description="Depth of the guessed shape against its width; 0 decides by the outline",
        min=0.0,
        max=4.0,
        precision=2,
    )
    back: EnumProperty(
        name="Back", items=BACKS, description="Colours of what the camera does not see"
    )
    config: StringProperty(
        name="More Settings",
        description="A text file (TOML) with any other setting of the fit: name = value",
        subtype="FILE_PATH",
    )


def register() -> None:
    """Keep the settings with every scene."""
    bpy.utils.register_class(DS4D_Settings)
    bpy.types.Scene.ds4d = PointerProperty(type=DS4D_Settings)


def unregister() -> None:
    """Take the settings back."""
    del bpy.types.Scene.ds4d
    bpy.utils.unregister_class(DS4D_Settings)
