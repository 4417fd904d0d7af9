"""Names for the points of MediaPipe's face mesh: every table of their numbers in this project.

Right and left are the subject's. Lists run as their docstrings say; rings of lips and lids from the outer or right
corner. Source: MediaPipe's canonical face mesh and the refinement options of its attention mesh.
"""

from __future__ import annotations

MESH_POINTS = 468
ALL_POINTS = 478
"""With the five of each iris."""

FOREHEAD, CHIN = 10, 152
CHEEKS = (234, 454)
"""The outermost points beside right and left ear: the face's width."""
OUTER_EYE_CORNERS, INNER_EYE_CORNERS = (33, 263), (133, 362)
"""Right, left."""
OUTER_MOUTH_CORNERS, INNER_MOUTH_CORNERS = (61, 291), (78, 308)
"""Right, left."""
RIGHT_IRIS, LEFT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)
"""The centre, then four points around it."""

RIGHT_UPPER_LID, RIGHT_LOWER_LID = (246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155)
LEFT_UPPER_LID, LEFT_LOWER_LID = (466, 388, 387, 386, 385, 384, 398), (249, 390, 373, 374, 380, 381, 382)
"""Between the corners, from the outer one to the inner one: the n-th of one lid faces the n-th of the other."""
RIGHT_EYE_RING = (OUTER_EYE_CORNERS[0], *RIGHT_LOWER_LID, INNER_EYE_CORNERS[0], *RIGHT_UPPER_LID)
LEFT_EYE_RING = (OUTER_EYE_CORNERS[1], *LEFT_LOWER_LID, INNER_EYE_CORNERS[1], *LEFT_UPPER_LID)

RIGHT_BROW_LOWER, RIGHT_BROW_UPPER = (46, 53, 52, 65, 55), (70, 63, 105, 66, 107)
LEFT_BROW_LOWER, LEFT_BROW_UPPER = (276, 283, 282, 295, 285), (300, 293, 334, 296, 336)
"""From the temple to the nose."""
BROWS = (*RIGHT_BROW_LOWER, *RIGHT_BROW_UPPER, *LEFT_BROW_LOWER, *LEFT_BROW_UPPER)
FOREHEAD_SKIN = (
    *(10, 151, 9, 8),  # middle, from the hair line down
    *(109, 67, 103, 54, 108, 69, 104, 68),  # right: at the hair line, then between it and the brow
    *(338, 297, 332, 284, 337, 299, 333, 298),  # left
)
"""Above and between the brows."""

UPPER_LIP_LINES = (
    (185, 40, 39, 37, 0, 267, 269, 270, 409),
    (184, 74, 73, 72, 11, 302, 303, 304, 408),
    (183, 42, 41, 38, 12, 268, 271, 272, 407),
    (191, 80, 81, 82, 13, 312, 311, 310, 415),
)
LOWER_LIP_LINES = (
    (146, 91, 181, 84, 17, 314, 405, 321, 375),
    (77, 90, 180, 85, 16, 315, 404, 320, 307),
    (96, 89, 179, 86, 15, 316, 403, 319, 325),
    (95, 88, 178, 87, 14, 317, 402, 318, 324),
)
LIP_CORNERS = (OUTER_MOUTH_CORNERS, (76, 306), (62, 292), INNER_MOUTH_CORNERS)
"""Four rings around the mouth from the outer line of the lips to the inner one: between the corners, from right to
left, and each ring's right and left corner."""
LIP_RINGS = tuple(
    (right, *lower, left, *upper)
    for (right, left), lower, upper in zip(LIP_CORNERS, LOWER_LIP_LINES, UPPER_LIP_LINES, strict=True)
)

CHIN_SKIN = (18, 83, 148, 152, 171, 175, 182, 199, 200, 201, 208, 313, 377, 396, 406, 421, 428)
"""Between the lower lip and the jaw's line, and on the line under it."""
OPEN_SKIN = (50, 280, 101, 330, 36, 266, 205, 425, 195, 5, 4)
"""On cheeks, right and left by turns, and the nose: what hair covers last."""
NOSE = (
    *(197, 195, 5, 4, 1, 19, 94, 2),  # bridge, tip and what is under it
    *(48, 49, 131, 134, 51, 45, 64, 98, 75, 220),  # its right side
    *(278, 279, 360, 363, 281, 275, 294, 327, 305, 440),  # its left side
)
"""From the bridge down, with both wings."""

FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""The outline of the face from the forehead over the left cheek."""

INNER_OF_68 = (
    *RIGHT_BROW_UPPER,
    *reversed(LEFT_BROW_UPPER),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # nose
    *(33, 160, 158, 133, 153, 144),  # right eye
    *(362, 385, 387, 263, 373, 380),  # left eye
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # outer lips
    *(78, 82, 13, 312, 308, 317, 14, 87),  # inner lips
)
"""The points nearest to 17-67 of the 68-point markup (Sagonas et al. 2013, 300 faces in the wild).

31 and 35, the outer ends of the nose's lower edge, are 75 and 305. On the eleven photos at hand, laid over FLAME by the
nose points that FLAME's two landmark tables name, 75 is 1.7 mm from FLAME's 31 (median); 98 is 5.8 mm from it, and 4.3
mm further out on FLAME itself.
"""
JAW_OF_68 = (127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356)
"""At the places of 0-16, right ear to left ear."""

EXPRESSION_POINTS = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, *RIGHT_IRIS, *LEFT_IRIS,
)  # fmt: skip
"""The 146 points that MediaPipe's blendshape network reads units off, in its order (its FaceBlendshapesGraph). Each has
its mirror image among them."""
