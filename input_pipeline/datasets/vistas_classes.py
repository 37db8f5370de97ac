"""The 65 evaluated classes of Mapillary Vistas v1.2: 28 stuff, 37 things, in the order of ids."""

from deeperlab_tf.schema import Dataset
from input_pipeline.datasets.class_table import read_class_table

_TABLE = """
  0  thing  165  42  42  Bird
  1  thing    0 192   0  Ground Animal
  2  stuff  196 196 196  Curb
  3  stuff  190 153 153  Fence
  4  stuff  180 165 180  Guard Rail
  5  stuff   90 120 150  Barrier
  6  stuff  102 102 156  Wall
  7  stuff  128  64 255  Bike Lane
  8  thing  140 140 200  Crosswalk - Plain
  9  stuff  170 170 170  Curb Cut
 10  stuff  250 170 160  Parking
 11  stuff   96  96  96  Pedestrian Area
 12  stuff  230 150 140  Rail Track
 13  stuff  128  64 128  Road
 14  stuff  110 110 110  Service Lane
 15  stuff  244  35 232  Sidewalk
 16  stuff  150 100 100  Bridge
 17  stuff   70  70  70  Building
 18  stuff  150 120  90  Tunnel
 19  thing  220  20  60  Person
 20  thing  255   0   0  Bicyclist
 21  thing  255   0 100  Motorcyclist
 22  thing  255   0 200  Other Rider
 23  thing  200 128 128  Lane Marking - Crosswalk
 24  stuff  255 255 255  Lane Marking - General
 25  stuff   64 170  64  Mountain
 26  stuff  230 160  50  Sand
 27  stuff   70 130 180  Sky
 28  stuff  190 255 255  Snow
 29  stuff  152 251 152  Terrain
 30  stuff  107 142  35  Vegetation
 31  stuff    0 170  30  Water
 32  thing  255 255 128  Banner
 33  thing  250   0  30  Bench
 34  thing  100 140 180  Bike Rack
 35  thing  220 220 220  Billboard
 36  thing  220 128 128  Catch Basin
 37  thing  222  40  40  CCTV Camera
 38  thing  100 170  30  Fire Hydrant
 39  thing   40  40  40  Junction Box
 40  thing   33  33  33  Mailbox
 41  thing  100 128 160  Manhole
 42  thing  142   0   0  Phone Booth
 43  stuff   70 100 150  Pothole
 44  thing  210 170 100  Street Light
 45  thing  153 153 153  Pole
 46  thing  128 128 128  Traffic Sign Frame
 47  thing    0   0  80  Utility Pole
 48  thing  250 170  30  Traffic Light
 49  thing  192 192 192  Traffic Sign (Back)
 50  thing  220 220   0  Traffic Sign (Front)
 51  thing  140 140  20  Trash Can
 52  thing  119  11  32  Bicycle
 53  thing  150   0 255  Boat
 54  thing    0  60 100  Bus
 55  thing    0   0 142  Car
 56  thing    0   0  90  Caravan
 57  thing    0   0 230  Motorcycle
 58  stuff    0  80 100  On Rails
 59  thing  128  64  64  Other Vehicle
 60  thing    0   0 110  Trailer
 61  thing    0   0  70  Truck
 62  thing    0   0 192  Wheeled Slow
 63  stuff   32  32  32  Car Mount
 64  stuff  120  10  10  Ego Vehicle
"""

DATASET = Dataset(name="vistas", categories=read_class_table(_TABLE))
